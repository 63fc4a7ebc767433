//! What the fuzz targets do with an input. The tests do the same with the seeds.

pub mod answer;
pub mod policies;
pub mod sandbox_bodies;
