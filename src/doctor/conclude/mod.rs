//! Observations -> Diagnoses, a stage a file. Pure.

pub mod endpoint;
pub mod identity;
pub mod login;
pub mod session;
pub mod tls;
pub mod token;
pub mod way;

use std::time::Duration;

/// "4 ms", "1.2 s".
pub fn shown_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
    }
}

/// "45 s", "12 min", "3 h", "40 days": what is left of something.
pub fn shown_span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
