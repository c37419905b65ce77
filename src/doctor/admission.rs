//! The second half of an examination: the auth token, the login, and after a refusal its cause.

use tokio::time::Instant;

use super::advice::advise;
use super::cause::Cause;
use super::conclude::login::{self, Evidence};
use super::conclude::{session, token};
use super::diagnosis::Stage;
use super::examination::{Examination, Identified};
use super::observe::login::{self as logins, Demand, Session};
use super::refusal::{Refusal, meaning};
use super::route::{Again, Arrived};
use crate::clock::{self, ClockOffset};
use crate::endpoint::{Address, Endpoint, Kind};
use crate::error::Error;
use crate::refreshing::Entry;
use crate::token::{AuthToken, Login};

impl Examination {
    fn signed(
        &self,
        endpoint: &Endpoint,
        entry: &Entry,
        offset: Option<ClockOffset>,
    ) -> Result<(AuthToken, clock::Time), Error> {
        let login = Login {
            user: self.known.user.as_deref().unwrap_or_default(),
            expires_in: self.patient.expires_in,
        };
        let now = offset.map_or_else(
            || entry.true_time(clock::now()),
            |offset| offset.corrected(clock::now()),
        );
        entry.signer.sign(endpoint, login, now).map(|token| (token, now))
    }

    pub(super) fn sign(&self, endpoint: &Endpoint, identified: &Identified) -> bool {
        match self.signed(endpoint, &identified.entry, None) {
            Ok((token, now)) => {
                let end = identified.entry.signer.credentials().expires_at;
                let is_limited = end == Some(token.expires_at);
                self.tell(token::token(&token, endpoint, &self.known, now, is_limited));
                true
            }
            Err(error) => {
                self.tell(token::no_token(&error, &self.known));
                false
            }
        }
    }

    pub(super) async fn log_in(&self, endpoint: &Endpoint, identified: &Identified, arrived: Arrived) {
        let started = Instant::now();
        let deadline = started + self.patient.timeout;
        let (user, database) = (self.known.user(), self.patient.database.as_str());
        let token = match self.signed(endpoint, &identified.entry, None) {
            Ok((token, _)) => token,
            Err(error) => return self.tell(token::no_token(&error, &self.known)),
        };
        let tls_version = arrived.tls_version;
        let again = arrived.again;
        let result = logins::log_in(arrived.stream, user, database, &token.value, deadline).await;
        let refusal = match result {
            Ok(session) => {
                self.tell(login::accepted(&self.known, started.elapsed()));
                return self.question(session, endpoint.kind, tls_version, deadline).await;
            }
            Err(logins::Trouble::Refused(refusal)) => refusal,
            Err(trouble) => {
                let (cause, said) = match trouble {
                    logins::Trouble::TimedOut => (Cause::LoginTimedOut, None),
                    logins::Trouble::Other(said) => (Cause::LoginFailed, Some(said)),
                    _ => (Cause::LoginClosed, None),
                };
                let mut diagnosis = advise(cause, &self.known);
                diagnosis.detail.extend(said);
                self.tell(diagnosis);
                return self.skip(&[Stage::Session], "there is no session");
            }
        };
        let said = meaning(&refusal, self.known.kind);
        let demand = match said {
            Some(Cause::TokenRefused | Cause::NotIamUser) => match again.connect(deadline).await {
                Some(stream) => logins::demand(stream, user, database, deadline).await,
                None => None,
            },
            _ => None,
        };
        let is_corrected = identified.entry.signer.credentials().clock_offset != ClockOffset::NONE;
        let regions = self.regions(identified);
        let chain = arrived.chain.as_deref();
        let changes = match demand {
            // Whatever is signed, this user is asked for a stored password.
            Some(Demand::Scram | Demand::Md5) => Vec::new(),
            _ => login::changes(
                said,
                endpoint,
                chain,
                &arrived.names,
                identified.offset,
                is_corrected,
                &regions,
            ),
        };
        let mut trials = Vec::new();
        for change in changes {
            let opened = self
                .attempt(&change, endpoint, identified, &again, deadline)
                .await;
            trials.push((change, opened));
            if opened == Some(true) {
                break;
            }
        }
        let evidence = Evidence {
            refusal,
            demand,
            trusted: identified.trusted,
            offset: identified.offset,
            trials,
            names: arrived.names,
        };
        self.tell(login::refused(&evidence, endpoint, &self.known));
        self.skip(&[Stage::Session], "there is no session");
    }

    fn regions(&self, identified: &Identified) -> Vec<String> {
        let profile = identified.entry.signer.credentials().region.clone();
        let named = [self.patient.environment_region.clone(), profile];
        named
            .into_iter()
            .flatten()
            .map(|region| region.to_ascii_lowercase())
            .collect()
    }

    /// One login with something else signed.
    async fn attempt(
        &self,
        change: &login::Change,
        endpoint: &Endpoint,
        identified: &Identified,
        again: &Again,
        deadline: Instant,
    ) -> Option<bool> {
        let mut signed = endpoint.clone();
        let mut offset = None;
        match change {
            login::Change::Host(host) => {
                let address = Address {
                    host: &endpoint.host,
                    port: Some(endpoint.port),
                    region: None,
                    token_host: Some(host),
                };
                signed = Endpoint::parse(&address, || None).ok()?;
                signed.token_port = endpoint.token_port;
            }
            login::Change::Port(port) => signed.token_port = *port,
            login::Change::Region(region) => signed.region.clone_from(region),
            login::Change::Clock(by) => offset = Some(*by),
        }
        let (token, _) = self.signed(&signed, &identified.entry, offset).ok()?;
        let stream = again.connect(deadline).await?;
        let (user, database) = (self.known.user(), self.patient.database.as_str());
        match logins::log_in(stream, user, database, &token.value, deadline).await {
            Ok(_) => Some(true),
            // Let in, and stopped later: the token was right.
            Err(logins::Trouble::Refused(refusal)) => Some(is_past_the_token(&refusal, signed.kind)),
            Err(_) => None,
        }
    }

    async fn question(
        &self,
        session: Session,
        kind: Kind,
        tls_version: Option<&'static str>,
        deadline: Instant,
    ) {
        let first = session
            .row(
                "SELECT version(), current_user, extract(epoch FROM clock_timestamp())",
                deadline,
            )
            .await;
        let received = clock::now();
        let row = match first {
            Ok(row) => row,
            Err(logins::Trouble::Refused(Refusal { message, .. })) => {
                return self.tell(advise(Cause::SessionFailed, &self.known).saw(message));
            }
            Err(_) => return self.tell(advise(Cause::SessionFailed, &self.known)),
        };
        let column = |index: usize| row.get(index).cloned().flatten();
        let seconds = column(2).and_then(|text| text.parse::<f64>().ok());
        let is_iam_user = match kind {
            // Behind a proxy the session's user is the proxy's business, and DSQL has no such role.
            Kind::RdsProxy | Kind::Dsql => None,
            Kind::Rds => session
                .row(
                    "SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'rds_iam'",
                    deadline,
                )
                .await
                .ok()
                .and_then(|row| row.into_iter().next().flatten())
                .map(|answer| answer == "t"),
        };
        let answers = session::Answers {
            version: column(0),
            user: column(1),
            clock: seconds.map(|seconds| clock::Time::from_millis((seconds * 1000.0) as i64)),
            is_iam_user,
            tls_version,
        };
        self.tell(session::session(&answers, &self.known, received));
    }
}

fn is_past_the_token(refusal: &Refusal, kind: Kind) -> bool {
    matches!(
        meaning(refusal, Some(kind)),
        Some(Cause::DatabaseMissing | Cause::DatabaseForbidden | Cause::UserUnknown | Cause::UserMayNotLogIn)
    )
}
