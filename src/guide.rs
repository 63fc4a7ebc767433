//! The guides: what there is to know beyond a single type.
//!
//! | guide | for whom |
//! |---|---|
//! | [`start`] | who has an application, with a key or without one yet |
//! | [`enforce`](crate::enforce) | who puts the layer in front of an axum or tower service |
//! | [`failures`] | who decides what happens when Esper does not answer |
//! | [`challenges`] | who lets visitors prove themselves, with or without the layer |
//! | [`testing`] | who tests an application against the sandbox |
//! | [`observability`] | who wants to see what happens: counts, metrics, logs and traces |
//! | [`scale`] | who has many visitors, or many replicas |
//! | [`guarantees`] | who wants to know what holds, and what shows it |
//! | [`limits`] | who wants to know what does not |
//! | [`spec`] | who changes the description of the API |
//! | [`languages`] | who writes an SDK in another language |
//!
//! Every example compiles; those that need an Esper run against the sandbox in every test run.

#[doc = include_str!("guide/start.md")]
pub mod start {}

#[doc = include_str!("guide/failures.md")]
pub mod failures {}

#[doc = include_str!("guide/challenges.md")]
pub mod challenges {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/observability.md")]
pub mod observability {}

#[doc = include_str!("guide/scale.md")]
pub mod scale {}

#[doc = include_str!("guide/guarantees.md")]
#[doc = include_str!("../FAULTS.md")]
pub mod guarantees {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/spec.md")]
pub mod spec {}

#[doc = include_str!("guide/languages.md")]
pub mod languages {}
