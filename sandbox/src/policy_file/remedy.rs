//! Check what a policy says follows, and make a remedy of it.

use toml::Spanned;

use super::error::Fault;
use super::file::{ActionName, MitigationTable};
use crate::challenge::HARDEST;
use crate::engine::policy::{Remedy, Task};

/// Makes a remedy of a mitigation's table. How long it lasts is not part of it.
pub(super) fn remedy(table: &MitigationTable) -> Result<Remedy, Fault> {
    let action = *table.action.get_ref();
    let of_challenge = [
        ("difficulty", table.difficulty.as_ref().map(Spanned::span)),
        ("site_key", table.site_key.as_ref().map(Spanned::span)),
    ];
    if let [(_, Some(_)), (_, Some(span))] = &of_challenge {
        let why = "a challenge is a proof of work with a difficulty, or of Turnstile with a \
                   site_key; leave out one of them";
        return Err(Fault::new(span.clone(), why));
    }
    for (member, span) in of_challenge {
        if let Some(span) = span.filter(|_| action != ActionName::Challenge) {
            let why = format!("{member} belongs to a challenge; leave it out");
            return Err(Fault::new(span, why));
        }
    }
    Ok(match action {
        ActionName::Monitor => Remedy::Monitor,
        ActionName::Block => Remedy::Block,
        ActionName::Challenge => Remedy::Challenge(match &table.site_key {
            Some(key) => Task::Turnstile(site_key(key)?),
            None => Task::ProofOfWork(table.difficulty.as_ref().map(difficulty).transpose()?),
        }),
    })
}

fn site_key(key: &Spanned<String>) -> Result<String, Fault> {
    let text = key.get_ref();
    if text.is_empty() || text.len() > LONGEST_SITE_KEY {
        let why = format!("bad site_key, expected 1 to {LONGEST_SITE_KEY} bytes");
        return Err(Fault::new(key.span(), why));
    }
    Ok(text.clone())
}

fn difficulty(bits: &Spanned<i64>) -> Result<u8, Fault> {
    let number = *bits.get_ref();
    u8::try_from(number).ok().filter(|bits| *bits <= HARDEST).ok_or_else(|| {
        let why = format!("difficulty is {number}, expected 0 to {HARDEST} leading zero bits");
        Fault::new(bits.span(), why)
    })
}

/// The longest site key, in bytes.
const LONGEST_SITE_KEY: usize = 256;
