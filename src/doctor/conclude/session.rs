//! What the session says of itself.

use super::shown_span;
use crate::clock::Time;
use crate::doctor::diagnosis::{Diagnosis, Stage, Status};
use crate::doctor::situation::Situation;
use crate::endpoint::Kind;

/// As far as the server answered.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub version: Option<String>,
    pub user: Option<String>,
    pub clock: Option<Time>,
    pub is_iam_user: Option<bool>,
    pub tls_version: Option<&'static str>,
}

pub fn session(answers: &Answers, known: &Situation, now: Time) -> Diagnosis {
    let version = answers.version.as_deref().map(short_version);
    let title = format!(
        "{} as {}",
        version.as_deref().unwrap_or("PostgreSQL"),
        answers.user.as_deref().unwrap_or(known.user())
    );
    let is_odd = answers.is_iam_user == Some(false) && known.kind == Some(Kind::Rds);
    let mut diagnosis = match is_odd {
        false => Diagnosis::new(Stage::Session, Status::Ok, "session.ok", title),
        true => {
            let title = format!("{} is logged in, and is not in rds_iam", known.user());
            let mut odd = Diagnosis::new(Stage::Session, Status::Warning, "session.not_iam", title);
            odd.why = "The server let the user in by other means than the auth token.".to_owned();
            odd.fix = "Grant rds_iam if the user is to log in by IAM only.".to_owned();
            odd.snippets.push(crate::doctor::diagnosis::Snippet {
                label: "SQL",
                text: known.grant(),
            });
            odd
        }
    };
    if let Some(version) = answers.tls_version {
        diagnosis = diagnosis.saw(format!("encrypted with {version}"));
    }
    if answers.is_iam_user == Some(true) {
        diagnosis = diagnosis.saw("member of rds_iam");
    }
    let apart = answers.clock.map(|clock| (clock.millis() - now.millis()) / 1000);
    if let Some(apart) = apart.filter(|apart| apart.abs() > 60) {
        let span = shown_span(std::time::Duration::from_secs(apart.unsigned_abs()));
        let direction = if apart > 0 { "ahead of" } else { "behind" };
        diagnosis = diagnosis.saw(format!("the server's clock is {span} {direction} this one"));
    }
    diagnosis = diagnosis.saw(lifetime(known.kind));
    diagnosis
        .fact("version", answers.version.clone())
        .fact("user", answers.user.clone())
        .fact("tls", answers.tls_version)
        .fact("rds_iam", answers.is_iam_user)
        .fact("server_ahead_seconds", apart)
        .fact(
            "max_session_seconds",
            (known.kind == Some(Kind::Dsql)).then_some(3600_i64),
        )
}

fn lifetime(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Dsql) => "sessions end after 60 minutes at most",
        Some(Kind::RdsProxy) => "idle sessions are closed by the proxy (30 minutes unless changed)",
        _ => "sessions have no end of their own, whatever becomes of the auth token",
    }
}

/// "PostgreSQL 16.4 on x86_64 ..." -> "PostgreSQL 16.4"
fn short_version(whole: &str) -> String {
    let words: Vec<&str> = whole.split_whitespace().take(2).collect();
    crate::error::shown(&words.join(" "))
}
