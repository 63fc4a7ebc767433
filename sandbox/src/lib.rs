#![doc = include_str!("../README.md")]

mod admin;
mod builder;
mod challenge;
mod clock;
mod console;
mod engine;
mod faults;
mod http;
mod limits;
mod lock;
mod operation;
mod policy_file;
mod recording;
mod rehearsal;
mod sandbox;
mod service;
mod wire;

pub use builder::SandboxBuilder;
pub use challenge::proof_of_work::solve_proof_of_work;
pub use console::Console;
pub use engine::visitor::Visitor;
pub use faults::{Fault, FaultError, FaultId, FaultStatus, Faults};
pub use limits::Limits;
pub use operation::Operation;
pub use policy_file::{
    PolicyError, STARTER_POLICIES, check_policies, check_policy_file, policy_schema,
};
pub use recording::RecordedRequest;
pub use rehearsal::Rehearsal;
pub use sandbox::Sandbox;
pub use service::accepted_events::TooFewEvents;
pub use wire::InvalidRequest;
