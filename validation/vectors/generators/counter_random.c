/* The numbers of refglow's golden vectors that are made instead of stored; see counter_random.py.

   cc -std=c99 -o counter_random counter_random.c
   ./counter_random SEED START COUNT          prints them, one a line, exactly (C99's %a)        */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Number k (from 0) of stream `seed`, in (-1, 1). */
float counter_random(uint64_t seed, uint64_t k) {
    uint64_t n = mix(mix(seed) + (k + 1) * UINT64_C(0x9E3779B97F4A7C15)) >> 40;
    return (float)(2 * (int64_t)n + 1 - 16777216) / 16777216.0f;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s SEED START COUNT\n", argv[0]);
        return 2;
    }
    uint64_t seed = strtoull(argv[1], NULL, 10), start = strtoull(argv[2], NULL, 10);
    uint64_t count = strtoull(argv[3], NULL, 10);
    for (uint64_t k = start; k < start + count; k++) printf("%a\n", (double)counter_random(seed, k));
    return 0;
}
