//! What the fuzz targets do with an input. The tests do the same with the seeds.

#[cfg(feature = "tower")]
pub mod addresses;
pub mod answer;
#[cfg(feature = "tower")]
pub mod enforce;
pub mod policies;
pub mod sandbox_bodies;
mod server;
