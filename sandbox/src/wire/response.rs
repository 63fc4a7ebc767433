//! What is decided, as the API tells it.

use serde_json::{Map, Value, json};

use super::{ChallengeData, MitigationResponse};
use crate::challenge::{Challenge, Puzzle};
use crate::engine::{Assessment, Monitored};

impl From<Assessment> for MitigationResponse {
    fn from(assessment: Assessment) -> Self {
        let action = assessment.action();
        let mut metadata = Map::new();
        if let Some(policy) =
            assessment.mitigation.as_ref().and_then(|mitigation| mitigation.policy.as_deref())
        {
            metadata.insert("policy".to_owned(), policy.into());
        }
        if let Some(monitored) = assessment.monitored {
            metadata.insert("monitor".to_owned(), monitored.into());
        }
        Self {
            action,
            reason: assessment.mitigation.map(|mitigation| mitigation.reason),
            score: assessment.score,
            challenge: None,
            redirect_url: None,
            metadata,
        }
    }
}

impl From<Monitored> for Value {
    fn from(Monitored { policy, word, reason }: Monitored) -> Self {
        let mut monitor = Map::new();
        monitor.insert("policy".to_owned(), policy.into());
        for (name, value) in [("word", word), ("reason", reason)] {
            if let Some(value) = value {
                monitor.insert(name.to_owned(), value.into());
            }
        }
        monitor.into()
    }
}

impl From<Challenge> for ChallengeData {
    fn from(Challenge { token, puzzle }: Challenge) -> Self {
        let (kind, params) = match puzzle {
            Puzzle::ProofOfWork { salt, difficulty } => {
                let params =
                    json!({ "algorithm": "sha256", "salt": salt, "difficulty": difficulty });
                ("proof_of_work", params)
            }
            Puzzle::Turnstile { site_key } => ("turnstile", json!({ "site_key": site_key })),
        };
        Self { kind, token, params }
    }
}
