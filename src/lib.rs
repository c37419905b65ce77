//! Log in to PostgreSQL on AWS with IAM instead of a stored password.
//!
//! Data flows one way:
//!
//! ```text
//! endpoint      host, port, region         -> Endpoint       pure
//! credentials   a Source                   -> Credentials    the only network I/O
//!   ambient       works out which one applies here
//!   chain         the AWS default chain and profiles
//!   web_identity  an identity token, exchanged at STS
//!     oidc          where identity tokens come from, platform by platform
//!   assume_role   a role, on top of any source
//!   sts           the exchange itself, and what its refusals mean
//!   cache         when to use, refresh, wait                 pure
//!   refreshing    holds them, one fetch at a time
//! token         Endpoint, user, Credentials -> AuthToken     pure
//! client        ties these together
//! doctor        the same way, looked at step by step
//! python        the binding: converts, and nothing else
//! ```
//!
//! `process`, `runtime`, `clock`, `surroundings` and `http` are the borders to the operating system.

pub mod ambient;
pub mod assume_role;
pub mod cache;
pub mod chain;
pub mod client;
pub mod clock;
pub mod credentials;
pub mod doctor;
pub mod endpoint;
pub mod error;
pub mod fork;
mod http;
mod http_call;
pub mod identity_token;
mod json;
pub mod oidc;
pub mod partition;
pub mod process;
mod random;
pub mod refreshing;
pub mod runtime;
mod sdk;
pub mod secret;
pub mod sts;
pub mod surroundings;
pub mod token;
pub mod web_identity;

#[cfg(feature = "python")]
mod python;
