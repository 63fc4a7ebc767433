#![doc = include_str!("../README.md")]

mod analysis;
mod auth;
mod body;
mod builder;
mod challenge;
mod clock;
mod console;
mod crawlers;
mod deliveries;
mod entity;
mod error;
mod history;
mod html;
mod journal;
mod keys;
mod managed;
mod member;
mod mitigation;
mod policy;
mod proof_of_work;
mod public_url;
mod rate_limit;
mod routes;
mod same_origin;
mod sandbox;
mod server;
mod service;
mod signature;
mod ticket;
mod usage;
mod wire;

pub use builder::SandboxBuilder;
pub use console::Console;
pub use proof_of_work::solve_proof_of_work;
pub use sandbox::Sandbox;
