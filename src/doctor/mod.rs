//! From "PAM authentication failed" to the cause.
//!
//! ```text
//! observe       looks: DNS, TCP, TLS, login           I/O, decides nothing
//! conclude      observations     -> Diagnosis         pure, a stage a file
//! refusal       a server's words -> Cause             pure
//! advice        Cause, Situation -> why, what to do   pure
//! examination   the stages in order
//! ```

pub mod advice;
mod cause;
mod certificate;
mod conclude;
pub mod diagnosis;
mod dns_message;
pub mod examination;
pub mod explain;
mod observe;
pub mod refusal;
mod route;
pub mod situation;
