// The plain form of /api/data: a JSON line that describes the columns, then their bytes.
const ARRAYS = { u32: Uint32Array, f32: Float32Array, f64: Float64Array, u64: BigUint64Array };

export function readColumns(buffer, kinds) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  const { columns } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  let at = end + 1;
  return columns.map(({ data_length }, i) => {
    // A copy begins at 0, which is what typed arrays need; the bytes are not aligned.
    const column = new ARRAYS[kinds[i]](buffer.slice(at, at + data_length));
    at += data_length;
    return column;
  });
}
