//! Looks at the world, and decides nothing. Every function ends by the deadline that it is given.

pub mod login;
pub mod names;
pub mod tcp;
pub mod tls;
