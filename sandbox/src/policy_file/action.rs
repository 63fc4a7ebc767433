//! Check what a policy says follows, and make an action of it.

use toml::Spanned;

use super::error::Mistake;
use super::file::{ActionName, MitigationTable};
use crate::challenge::HARDEST;
use crate::engine::policy::{MitigationAction, Task};

/// Makes an action of a mitigation's table. How long it lasts is not part of it.
pub(super) fn action(table: &MitigationTable) -> Result<MitigationAction, Mistake> {
    let action = *table.action.get_ref();
    let of_challenge = [
        ("difficulty", table.difficulty.as_ref().map(Spanned::span)),
        ("site_key", table.site_key.as_ref().map(Spanned::span)),
    ];
    if let [(_, Some(_)), (_, Some(span))] = &of_challenge {
        let why = "a challenge is a proof of work with a difficulty, or of Turnstile with a \
                   site_key; leave out one of them";
        return Err(Mistake::new(span.clone(), why));
    }
    for (member, span) in of_challenge {
        if let Some(span) = span.filter(|_| action != ActionName::Challenge) {
            let why = format!("{member} belongs to a challenge; leave it out");
            return Err(Mistake::new(span, why));
        }
    }
    Ok(match action {
        ActionName::Monitor => MitigationAction::Monitor,
        ActionName::Block => MitigationAction::Block,
        ActionName::Challenge => MitigationAction::Challenge(match &table.site_key {
            Some(key) => Task::Turnstile(site_key(key)?),
            None => Task::ProofOfWork(table.difficulty.as_ref().map(difficulty).transpose()?),
        }),
    })
}

fn site_key(key: &Spanned<String>) -> Result<String, Mistake> {
    let text = key.get_ref();
    if text.is_empty() || text.len() > LONGEST_SITE_KEY {
        let why = format!("bad site_key, expected 1 to {LONGEST_SITE_KEY} bytes");
        return Err(Mistake::new(key.span(), why));
    }
    Ok(text.clone())
}

fn difficulty(bits: &Spanned<i64>) -> Result<u8, Mistake> {
    let number = *bits.get_ref();
    u8::try_from(number).ok().filter(|bits| *bits <= HARDEST).ok_or_else(|| {
        let why = format!("difficulty is {number}, expected 0 to {HARDEST} leading zero bits");
        Mistake::new(bits.span(), why)
    })
}

/// The longest site key, in bytes.
const LONGEST_SITE_KEY: usize = 256;
