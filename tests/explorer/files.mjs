// The bytes of a safetensors file with float64 arrays {name: {shape, data}}.
export function writeSafetensors(arrays) {
  const header = {}, parts = [];
  let end = 0;
  for (const [name, { shape, data }] of Object.entries(arrays)) {
    const numbers = Float64Array.from(data);
    header[name] = { dtype: "F64", shape, data_offsets: [end, end + numbers.byteLength] };
    end += numbers.byteLength;
    parts.push(Buffer.from(numbers.buffer));
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - Buffer.byteLength(text) % 8) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  return Buffer.concat([length, Buffer.from(text), ...parts]);
}

// Arrays that are not in a vector's file: number k of stream `seed`, times 2^exponent.
export function generated({ seed, exponent }, shape) {
  const mask = (1n << 64n) - 1n;
  const mix = (z) => {
    z = ((z ^ (z >> 30n)) * 0xBF58476D1CE4E5B9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94D049BB133111EBn) & mask;
    return z ^ (z >> 31n);
  };
  const first = mix(BigInt(seed)), count = shape.reduce((a, b) => a * b, 1);
  return { shape, data: Float64Array.from({ length: count }, (_, k) => {
    const n = Number(mix((first + BigInt(k + 1) * 0x9E3779B97F4A7C15n) & mask) >> 40n);
    return (2 * n + 1 - 2 ** 24) / 2 ** 24 * 2 ** exponent;
  }) };
}
