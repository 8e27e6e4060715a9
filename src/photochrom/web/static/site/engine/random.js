// The random numbers of NumPy's default_rng(seed).standard_normal(): a seed gives the same colorings here
// and there. Sources: M. O'Neill, "PCG", 2014 (PCG64, XSL-RR); Marsaglia and Tsang, "The Ziggurat Method",
// 2000, with the tables of 256 levels; NumPy's SeedSequence.

const MASK32 = 0xffffffff;
const MASK64 = (1n << 64n) - 1n;
const MASK128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** SeedSequence(seed).generate_state(8): uint32. */
function seeds(seed) {
  let constant = 0x43b0d7e5;
  const hashed = (value) => {
    let v = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    v = Math.imul(v, constant) >>> 0;
    return (v ^ (v >>> 16)) >>> 0;
  };
  const mixed = (x, y) => {
    const v = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (v ^ (v >>> 16)) >>> 0;
  };
  const pool = [seed >>> 0, 0, 0, 0].map(hashed);
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
  }
  let other = 0x8b51f9dd;
  return Array.from({ length: 8 }, (_, i) => {
    let v = (pool[i % 4] ^ other) >>> 0;
    other = Math.imul(other, 0x58f38ded) >>> 0;
    v = Math.imul(v, other) >>> 0;
    return (v ^ (v >>> 16)) >>> 0;
  });
}

const R = 3.6541528853610087963519472518;
const V = 0.0049286732339746519;
const STEPS = 2 ** 52;
const [KI, WI, FI] = [new Float64Array(256), new Float64Array(256), new Float64Array(256)];
{
  const density = (x) => Math.exp(-0.5 * x * x);
  const q = V / density(R);
  [KI[0], KI[1]] = [Math.trunc((R / q) * STEPS), 0];
  [WI[0], WI[255]] = [q / STEPS, R / STEPS];
  [FI[0], FI[255]] = [1, density(R)];
  let last = R;
  for (let i = 254; i > 0; i--) {
    const x = Math.sqrt(-2 * Math.log(V / last + density(last)));
    KI[i + 1] = Math.trunc((x / last) * STEPS);
    [WI[i], FI[i]] = [x / STEPS, density(x)];
    last = x;
  }
}

/** A function that returns the next number each time. */
export function standardNormal(seed) {
  const words = seeds(seed).map(BigInt);
  const long = (i) => words[2 * i] | (words[2 * i + 1] << 32n);
  const increment = ((((long(2) << 64n) | long(3)) << 1n) | 1n) & MASK128;
  let state = 0n;
  const step = () => { state = (state * MULTIPLIER + increment) & MASK128; };
  step();
  state = (state + ((long(0) << 64n) | long(1))) & MASK128;
  step();
  const next = () => {
    step();
    const folded = (state >> 64n) ^ (state & MASK64);
    const turn = state >> 122n;
    return ((folded >> turn) | (folded << ((64n - turn) & 63n))) & MASK64;
  };
  const unit = () => Number(next() >> 11n) / 2 ** 53;
  return () => {
    for (;;) {
      const bits = next();
      const low = Number(bits & BigInt(MASK32));
      const level = low & 0xff;
      const negative = (low >>> 8) & 1;
      const size = Number((bits >> 9n) & ((1n << 52n) - 1n));
      const x = (negative ? -1 : 1) * size * WI[level];
      if (size < KI[level]) return x;
      if (level > 0) {
        if ((FI[level - 1] - FI[level]) * unit() + FI[level] < Math.exp(-0.5 * x * x)) return x;
        continue;
      }
      for (;;) {
        const xx = -Math.log1p(-unit()) / R;
        const yy = -Math.log1p(-unit());
        if (yy + yy > xx * xx) return Math.floor(size / 256) % 2 ? -(R + xx) : R + xx;
      }
    }
  };
}
