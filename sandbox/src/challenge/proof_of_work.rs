//! The work of a proof of work: a nonce for which a hash begins with zero bits.

use std::io;

use sha2::{Digest, Sha256};

/// Finds the answer to a `proof_of_work` challenge from its `salt` and `difficulty`, as a
/// visitor's browser would.
///
/// It tries one nonce after the other, about two to the power of `difficulty` of them. The sandbox
/// asks for 32 bits at most; with many more this does not end.
///
/// ```
/// let answer = esper_sandbox::solve_proof_of_work("5f2c9a1e", 8);
/// assert!(answer.bytes().all(|digit| digit.is_ascii_digit()));
/// ```
#[must_use]
pub fn solve_proof_of_work(salt: &str, difficulty: u8) -> String {
    let mut nonce = 0_u64;
    while !is_solved(salt, difficulty, &nonce.to_string()) {
        nonce += 1;
    }
    nonce.to_string()
}

/// A salt that was never used before, so that no work can be done in advance.
pub(crate) fn new_salt() -> io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

/// Whether a response is a decimal nonce that solves the challenge.
pub(crate) fn is_answer(salt: &str, difficulty: u8, response: &str) -> bool {
    let decimal = response.len() <= LONGEST_NONCE && response.bytes().all(|b| b.is_ascii_digit());
    decimal && !response.is_empty() && is_solved(salt, difficulty, response)
}

/// Whether the hash over salt, colon and nonce begins with enough zero bits.
fn is_solved(salt: &str, difficulty: u8, nonce: &str) -> bool {
    let hash = Sha256::digest(format!("{salt}:{nonce}"));
    leading_zero_bits(&hash) >= u32::from(difficulty)
}

fn leading_zero_bits(hash: &[u8]) -> u32 {
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zeros).map_or(0, |byte| byte.leading_zeros());
    zeros as u32 * 8 + next
}

/// The digits of the largest 64-bit number.
const LONGEST_NONCE: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_decimal_number_whatever_else_solves_the_challenge() {
        let solving = |before: &str| {
            let mut nonces = (0_u32..).map(|nonce| format!("{before}{nonce}"));
            nonces.find(|nonce| is_solved("salt", 4, nonce)).expect("some nonce")
        };
        assert!(is_answer("salt", 4, &solving("")));
        for before in ["-", "+", "0x", " ", "१", "x", &"0".repeat(LONGEST_NONCE)] {
            assert!(!is_answer("salt", 4, &solving(before)), "{before}");
        }
        assert!(!is_answer("salt", 0, ""));
    }

    #[test]
    fn the_difficulty_counts_bits() {
        assert_eq!(leading_zero_bits(&[0xff]), 0);
        assert_eq!(leading_zero_bits(&[0x01, 0x00]), 7);
        assert_eq!(leading_zero_bits(&[0x00, 0x40]), 9);
        assert_eq!(leading_zero_bits(&[0x00; 32]), 256);
    }
}
