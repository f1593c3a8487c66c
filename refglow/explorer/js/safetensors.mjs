// A safetensors file: eight bytes with the length of a JSON header, which says where each array is,
// then the arrays' bytes, little-endian.

const KINDS = { F64: Float64Array, F32: Float32Array, I64: BigInt64Array, I32: Int32Array,
  BOOL: Uint8Array };

// {arrays: {name: {shape, data: Float64Array}}, metadata}
export function readSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: metadata = {}, ...header } =
    JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    const { buffer } = Uint8Array.from(bytes.subarray(start + from, start + to));  // aligned
    arrays[name] = { shape, data: Float64Array.from(new KINDS[dtype](buffer), Number) };
  }
  return { arrays, metadata };
}

// "block0.step1.conv.lower_upper" -> nested objects
export function nested(arrays) {
  const root = {};
  for (const [name, array] of Object.entries(arrays)) {
    const parts = name.split("."), last = parts.pop();
    parts.reduce((at, part) => (at[part] ??= {}), root)[last] = array;
  }
  return root;
}
