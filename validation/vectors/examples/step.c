/* ActNorm and 1x1 convolution in C, judged against refglow's golden vectors.

     refglow vectors export DIR
     cc -std=c99 -o step step.c -lm
     for f in DIR/vectors/actnorm-*.safetensors DIR/vectors/onebyoneconv-*.safetensors \
              DIR/vectors/scalematveclu-*.safetensors; do
       ./step "$f" DIR/results/"$(basename "$f")"
     done
     refglow validate --results DIR

   Computes in float32, log-dets in double. The two operations are told apart by the names of their
   parameters. A safetensors file is eight bytes with the length of a JSON header, the header, which
   says where each array is, and the numbers; this reads the compact headers that refglow writes, on
   a little-endian machine. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *header;  /* JSON, ends with 0 */
    char *data;
} File;

typedef struct {
    int ndim;
    long shape[8], count;
    void *data;
} Tensor;

static void fail(const char *what, const char *name) {
    fprintf(stderr, "%s: %s\n", what, name);
    exit(1);
}

static File read_file(const char *path) {
    FILE *stream = fopen(path, "rb");
    uint64_t length;
    if (!stream) fail("cannot read", path);
    if (fread(&length, 8, 1, stream) != 1 || length > 1u << 24) fail("no safetensors file", path);
    fseek(stream, 0, SEEK_END);
    long size = ftell(stream) - 8;
    if ((uint64_t)size < length) fail("only a part of a file", path);
    char *bytes = malloc((size_t)size + 1);
    fseek(stream, 8, SEEK_SET);
    if (!bytes || fread(bytes, 1, (size_t)size, stream) != (size_t)size) fail("cannot read", path);
    fclose(stream);
    File file = {malloc(length + 1), bytes + length};
    memcpy(file.header, bytes, length);
    file.header[length] = 0;
    return file;
}

/* The array called `name`; data is NULL if there is none. */
static Tensor find(File file, const char *name) {
    Tensor tensor = {0, {0}, 1, NULL};
    char key[256];
    snprintf(key, sizeof key, "\"%s\":{", name);
    char *at = strstr(file.header, key);
    if (!at) return tensor;
    at = strstr(at, "\"shape\":[") + 9;
    while (*at != ']' && tensor.ndim < 8) {
        tensor.shape[tensor.ndim] = strtol(at, &at, 10);
        tensor.count *= tensor.shape[tensor.ndim++];
        if (*at == ',') at++;
    }
    tensor.data = file.data + strtol(strstr(at, "\"data_offsets\":[") + 16, NULL, 10);
    return tensor;
}

/* A copy of an array's float32 numbers, at an address that suits them. */
static float *floats(Tensor tensor) {
    float *copy = malloc(sizeof(float) * (size_t)(tensor.count + 1));
    memcpy(copy, tensor.data, sizeof(float) * (size_t)tensor.count);
    return copy;
}

/* y[k] = x[k] / exp(v[k]) - m[k] in every pixel, or back; returns the log-det of one pixel. */
static double actnorm(const float *x, float *y, long pixels, long c, const float *m, const float *v,
                      int forward) {
    double log_det = 0;
    for (long k = 0; k < c; k++) log_det += v[k];
    for (long i = 0; i < pixels * c; i++) {
        long k = i % c;
        y[i] = forward ? x[i] * expf(-v[k]) - m[k] : (x[i] + m[k]) * expf(v[k]);
    }
    return forward ? -log_det : log_det;
}

/* y = P L U x in every pixel, (P v)[p[i]] = v[i], or x by two substitutions. */
static double matvec(const float *x, float *y, long pixels, long c, const float *lu,
                     const int32_t *p, int forward) {
    double log_det = 0;
    float *v = malloc(sizeof(float) * (size_t)c);
    for (long k = 0; k < c; k++) log_det += log(fabs((double)lu[k * c + k]));
    for (long pixel = 0; pixel < pixels; pixel++, x += c, y += c) {
        for (long i = 0; i < c; i++) v[i] = forward ? x[i] : x[p[i]];
        if (forward) {
            for (long i = 0; i < c; i++) {  /* U v: row i needs v[i] and later ones only */
                v[i] *= lu[i * c + i];
                for (long j = i + 1; j < c; j++) v[i] += lu[i * c + j] * v[j];
            }
            for (long i = c - 1; i >= 0; i--)
                for (long j = 0; j < i; j++) v[i] += lu[i * c + j] * v[j];
        } else {
            for (long i = 0; i < c; i++)
                for (long j = 0; j < i; j++) v[i] -= lu[i * c + j] * v[j];
            for (long i = c - 1; i >= 0; i--) {
                for (long j = i + 1; j < c; j++) v[i] -= lu[i * c + j] * v[j];
                v[i] /= lu[i * c + i];
            }
        }
        for (long i = 0; i < c; i++) y[forward ? p[i] : i] = v[i];
    }
    free(v);
    return forward ? log_det : -log_det;
}

/* Adds an array to the header of the results. */
static void describe(char *header, const char *name, const Tensor *like, int ndim, long *end) {
    long count = 1;
    sprintf(header + strlen(header), "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
            strlen(header) > 1 ? "," : "", name);
    for (int k = 0; k < ndim; k++) {
        sprintf(header + strlen(header), k ? ",%ld" : "%ld", like->shape[k]);
        count *= like->shape[k];
    }
    sprintf(header + strlen(header), "],\"data_offsets\":[%ld,%ld]}", *end, *end + 4 * count);
    *end += 4 * count;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s VECTOR.safetensors RESULT.safetensors\n", argv[0]);
        return 2;
    }
    File file = read_file(argv[1]);
    Tensor lu = find(file, "inputs/params/lower_upper");
    Tensor p = find(file, "inputs/params/permutation");
    Tensor m = find(file, "inputs/params/shift"), v = find(file, "inputs/params/log_scale");
    if (!(lu.data && p.data) && !(m.data && v.data)) fail("neither operation", argv[1]);
    const char *directions[] = {"forward", "inverse"};
    char header[4096] = "{", name[64];
    float *parts[4];
    long counts[4], end = 0;
    for (int d = 0; d < 2; d++) {
        sprintf(name, "inputs/%s/input", directions[d]);
        Tensor x = find(file, name);
        sprintf(name, "inputs/%s/log_det_bar", directions[d]);
        Tensor batch = find(file, name);  /* as many numbers as examples */
        if (!x.data || !batch.data) fail("no input", argv[1]);
        long c = x.shape[x.ndim - 1], pixels = x.count / c;
        float *input = floats(x), *y = malloc(sizeof(float) * (size_t)(x.count + 1));
        double one = lu.data ? matvec(input, y, pixels, c, floats(lu), p.data, d == 0)
                             : actnorm(input, y, pixels, c, floats(m), floats(v), d == 0);
        float *log_det = malloc(sizeof(float) * (size_t)(batch.count + 1));
        for (long k = 0; k < batch.count; k++)
            log_det[k] = (float)(one * (double)pixels / (double)batch.count);
        sprintf(name, "%s/value", directions[d]);
        describe(header, name, &x, x.ndim, &end);
        sprintf(name, "%s/log_det", directions[d]);
        describe(header, name, &batch, batch.ndim, &end);
        parts[2 * d] = y, counts[2 * d] = x.count;
        parts[2 * d + 1] = log_det, counts[2 * d + 1] = batch.count;
    }
    strcat(header, "}");
    while (strlen(header) % 8) strcat(header, " ");
    uint64_t length = strlen(header);
    FILE *stream = fopen(argv[2], "wb");
    if (!stream) fail("cannot write", argv[2]);
    fwrite(&length, 8, 1, stream);
    fwrite(header, 1, length, stream);
    for (int k = 0; k < 4; k++) fwrite(parts[k], sizeof(float), (size_t)counts[k], stream);
    return fclose(stream) ? 1 : 0;
}
