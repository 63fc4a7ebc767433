// A worker that finds a nonce for which the SHA-256 of `salt:nonce` begins with enough zero bits.
//
// The browser's own SHA-256 (crypto.subtle) is not there on plain http, and answers one hash at a
// time; this one is called in a row.
"use strict";

self.onmessage = ({ data: { salt, difficulty } }) => {
  const prefix = new TextEncoder().encode(`${salt}:`);
  const message = new Uint8Array(prefix.length + LONGEST_NONCE);
  message.set(prefix);
  let told = performance.now();
  for (let nonce = 0; ; nonce += 1) {
    const digits = String(nonce);
    for (let at = 0; at < digits.length; at += 1) message[prefix.length + at] = digits.charCodeAt(at);
    if (leadingZeroBits(sha256(message, prefix.length + digits.length)) >= difficulty) {
      self.postMessage({ hashes: nonce + 1, nonce: digits });
      return;
    }
    // The clock costs more than a hash.
    if (nonce % 1024 === 0 && performance.now() - told > 50) {
      told = performance.now();
      self.postMessage({ hashes: nonce + 1 });
    }
  }
};

// The hash of the first bytes of a message, as eight words. The array is used again by the next call.
function sha256(message, length) {
  hash.set(START);
  const blocks = Math.ceil((length + 9) / 64);
  for (let block = 0; block < blocks; block += 1) {
    for (let word = 0; word < 16; word += 1) {
      const at = block * 64 + word * 4;
      schedule[word] =
        (byteAt(message, length, at) << 24) |
        (byteAt(message, length, at + 1) << 16) |
        (byteAt(message, length, at + 2) << 8) |
        byteAt(message, length, at + 3);
    }
    if (block === blocks - 1) {
      schedule[14] = Math.floor(length / 2 ** 29);
      schedule[15] = length << 3;
    }
    compress();
  }
  return hash;
}

// A byte of the message, of the one bit that follows it, or of the zeros after that.
function byteAt(message, length, at) {
  if (at < length) return message[at];
  return at === length ? 0x80 : 0;
}

function compress() {
  const w = schedule;
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let a = hash[0];
  let b = hash[1];
  let c = hash[2];
  let d = hash[3];
  let e = hash[4];
  let f = hash[5];
  let g = hash[6];
  let h = hash[7];
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
  hash[5] += f;
  hash[6] += g;
  hash[7] += h;
}

function leadingZeroBits(words) {
  for (let at = 0; at < words.length; at += 1) {
    if (words[at] !== 0) return at * 32 + Math.clz32(words[at]);
  }
  return words.length * 32;
}

// The digits of the largest whole number that is counted exactly.
const LONGEST_NONCE = 16;

// The first 32 bits of the fractional parts of roots of the first primes, as the standard has it.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n += 1) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));

function fraction(root) {
  return ((root - Math.floor(root)) * 2 ** 32) | 0;
}

const hash = new Int32Array(8);
const schedule = new Int32Array(64);
