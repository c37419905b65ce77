//! Log in to PostgreSQL on AWS with IAM instead of a stored password.
//!
//! Data flows one way:
//!
//! ```text
//! endpoint      host, port, region         -> Endpoint       pure
//! credentials   a Source                   -> Credentials    the only network I/O
//!   chain         the AWS default chain and profiles
//!   cache         when to use, refresh, wait                 pure
//!   refreshing    holds them, one fetch at a time
//! token         Endpoint, user, Credentials -> AuthToken     pure
//! client        ties these together
//! python        the binding: converts, and nothing else
//! ```
//!
//! `process`, `runtime` and `clock` are the borders to the operating system.

pub mod cache;
pub mod chain;
pub mod client;
pub mod clock;
pub mod credentials;
pub mod endpoint;
pub mod error;
mod http;
pub mod partition;
pub mod process;
pub mod refreshing;
pub mod runtime;
pub mod secret;
pub mod token;

#[cfg(feature = "python")]
mod python;
