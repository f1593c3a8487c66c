// Numbers as Python writes them, so that the page's sentences are refglow's to the letter.

// A float: 0.5, 1.0, 1e-06, nan.
export function floatText(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  const [digits, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    const sign = power < 0 ? "-" : "+";
    return `${digits}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (Object.is(value, -0)) return "-0.0";
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

// A number that a person wrote: whole ones are ints, however large.
export const numberText = (value) => (Number.isInteger(value) ? String(BigInt(value))
  : floatText(value));
