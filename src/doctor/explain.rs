//! A driver's error -> the diagnosis that the doctor would give. Pure.

use super::advice::advise;
use super::cause::Cause;
use super::diagnosis::Diagnosis;
use super::refusal::{Refusal, meaning};
use super::situation::Situation;

/// None if this is no failure to connect, or none that is known.
pub fn explain(refusal: &Refusal, known: &Situation) -> Option<Diagnosis> {
    let cause = meaning(refusal, known.kind)?;
    // A code alone is not enough: these are given to failed statements as well.
    if matches!(
        cause,
        Cause::DatabaseForbidden | Cause::OptionUnsupported | Cause::DatabaseMissing
    ) && meaning(&without_code(refusal), known.kind) != Some(cause)
    {
        return None;
    }
    let diagnosis = advise(cause, known)
        .fact("sqlstate", refusal.sqlstate.clone())
        .fact("message", refusal.message.clone())
        .fact("hint", refusal.hint.clone());
    Some(diagnosis)
}

fn without_code(refusal: &Refusal) -> Refusal {
    Refusal {
        sqlstate: None,
        ..refusal.clone()
    }
}
