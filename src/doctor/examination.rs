//! The stages in order. What concerns the identity and the way to the server is observed side by side;
//! the diagnoses come out in the order of the stages all the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};

use super::advice::advise;
use super::cause::Cause;
use super::conclude::identity::{self, Confirmation};
use super::conclude::login::{Evidence, Trusted};
use super::conclude::{self, login, session, token};
use super::diagnosis::{Diagnosis, Stage, Status};
use super::observe::login::{self as logins, Demand, Session};
use super::refusal::{Refusal, meaning};
use super::route::{Arrived, Route, Step};
use super::situation::Situation;
use crate::clock::{self, ClockOffset};
use crate::credentials::{Credentials, Finding};
use crate::endpoint::{Address, Endpoint, Kind};
use crate::error::Error;
use crate::refreshing::{Entry, Outcome, Ticket};
use crate::sts;
use crate::surroundings::Here;
use crate::token::Login;

/// Credentials as the client has them: at hand, on their way, or not to be had.
pub enum Held {
    Ready(Arc<Entry>),
    Coming(Ticket),
    Failed(Error),
}

/// What is to be examined. Owned, because it outlives the call that asks for it.
pub struct Patient {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub database: String,
    pub region: Option<String>,
    pub token_host: Option<String>,
    pub expires_in: Option<u32>,
    /// Regions that the environment names.
    pub environment_region: Option<String>,
    /// PEM: whom to trust.
    pub ca_file: String,
    pub missing_ca: Option<String>,
    pub attempts: Vec<Finding>,
    pub held: Held,
    /// How long the way to the server may take, and after it the login.
    pub timeout: Duration,
    /// To be asked for aliases in the place of the system's.
    pub name_server: Option<SocketAddr>,
}

impl Patient {
    fn endpoint(&self, profile_region: Option<&str>) -> Result<Endpoint, Error> {
        let Some(host) = &self.host else {
            return Err(Error::configuration("host is missing", ""));
        };
        if self.user.as_ref().is_none_or(String::is_empty) {
            return Err(Error::configuration("user is missing", ""));
        }
        let address = Address {
            host,
            port: self.port,
            region: self.region.as_deref(),
            token_host: self.token_host.as_deref(),
        };
        Endpoint::parse(&address, || {
            let environment = self.environment_region.clone();
            environment.or_else(|| profile_region.map(str::to_owned))
        })
    }
}

struct Examination {
    patient: Patient,
    known: Situation,
    report: UnboundedSender<Diagnosis>,
}

/// What the first half found out of the identity.
struct Identified {
    entry: Arc<Entry>,
    trusted: Trusted,
    offset: Option<ClockOffset>,
}

/// Ends early, without a word, when nobody listens any more.
pub async fn examine(patient: Patient, report: UnboundedSender<Diagnosis>) {
    let known = Situation {
        host: patient.host.clone(),
        port: patient.port,
        user: patient.user.clone(),
        database: Some(patient.database.clone()),
        region: patient.region.clone(),
        missing_ca: patient.missing_ca.clone(),
        ca_file: Some(patient.ca_file.clone()),
        ..Situation::default()
    };
    let examination = Examination {
        patient,
        known,
        report,
    };
    examination.run().await;
}

impl Examination {
    async fn run(mut self) {
        self.tell(identity::environment(&self.patient.attempts, &Here));
        let deadline = Instant::now() + self.patient.timeout;
        let early = self.patient.endpoint(None);
        if let Ok(endpoint) = &early {
            self.known = std::mem::take(&mut self.known).at(endpoint);
        }
        // What is not signable can be dialled nevertheless, and a bare cluster id cannot.
        let mut route = match &early {
            Ok(endpoint) => Some(self.route(&endpoint.host, endpoint.port, deadline)),
            Err(error) if error.message.contains("cluster id") => None,
            Err(_) => self.unsigned_route(deadline),
        };
        let identified = self.identify(deadline).await;
        let profile_region = identified
            .as_ref()
            .and_then(|found| found.entry.signer.credentials().region.clone());
        let endpoint = self.patient.endpoint(profile_region.as_deref());
        if let Ok(endpoint) = &endpoint {
            self.known = std::mem::take(&mut self.known).at(endpoint);
            if route.is_none() {
                route = Some(self.route(&endpoint.host, endpoint.port, deadline));
            }
        }
        let arrived = self.arrive(endpoint.as_ref(), route).await;
        let (Some(identified), Ok(endpoint)) = (identified.as_ref(), endpoint.as_ref()) else {
            let missing = match identified {
                None => "there are no credentials to sign with",
                Some(_) => "what to sign for is not known",
            };
            self.skip(&[Stage::Token, Stage::Login, Stage::Session], missing);
            return;
        };
        if !self.sign(endpoint, identified) {
            self.skip(&[Stage::Login, Stage::Session], "there is no auth token");
            return;
        }
        let Some(arrived) = arrived else {
            self.skip(
                &[Stage::Login, Stage::Session],
                "there is no connection that could be trusted",
            );
            return;
        };
        self.log_in(endpoint, identified, arrived).await;
    }

    fn tell(&self, diagnosis: Diagnosis) {
        // Nobody listens any more: the task is about to be ended.
        let _ = self.report.send(diagnosis);
    }

    fn skip(&self, stages: &[Stage], because: &str) {
        for stage in stages {
            self.tell(Diagnosis::skipped(*stage, because));
        }
    }

    fn route(&self, host: &str, port: u16, deadline: Instant) -> Route {
        Route::begin(
            host.to_owned(),
            port,
            self.patient.ca_file.clone(),
            self.patient.name_server,
            deadline,
        )
    }

    /// The host as it was given, if it can be dialled at all.
    fn unsigned_route(&mut self, deadline: Instant) -> Option<Route> {
        let host = self.patient.host.clone()?;
        let stand_in = Address {
            host: &host,
            port: self.patient.port,
            region: Some("us-east-1"),
            token_host: Some("stand.in.us-east-1.rds.amazonaws.com"),
        };
        let endpoint = Endpoint::parse(&stand_in, || None).ok()?;
        self.known.port = Some(endpoint.port);
        Some(self.route(&endpoint.host, endpoint.port, deadline))
    }

    async fn identify(&mut self, deadline: Instant) -> Option<Identified> {
        let nothing = Held::Failed(Error::credentials("", ""));
        let outcome = match std::mem::replace(&mut self.patient.held, nothing) {
            Held::Ready(entry) => Ok(Outcome::Ready(entry)),
            Held::Failed(error) => Ok(Outcome::Failed(error)),
            Held::Coming(ticket) => timeout_at(deadline, ticket.outcome()).await,
        };
        let entry = match outcome {
            Ok(Outcome::Ready(entry)) => entry,
            Ok(Outcome::Failed(error)) => {
                self.tell(identity::no_credentials(&error, &self.known));
                self.skip(&[Stage::Clock], "without credentials STS is not asked");
                return None;
            }
            Ok(Outcome::Abandoned) | Err(_) => {
                self.tell(advise(Cause::CredentialsTimedOut, &self.known));
                self.skip(&[Stage::Clock], "without credentials STS is not asked");
                return None;
            }
        };
        let credentials = entry.signer.credentials();
        let (confirmation, offset) = confirm(credentials, deadline).await;
        self.known.account.clone_from(&credentials.account_id);
        if let Confirmation::Confirmed(identity) = &confirmation {
            self.known.account = Some(identity.account.clone());
            self.known.principal = Some(identity.arn.clone());
        }
        let true_now = entry.true_time(clock::now());
        let diagnosis = identity::credentials(credentials, &confirmation, &self.known, true_now);
        let is_usable = diagnosis.status != Status::Failure;
        self.tell(diagnosis);
        let corrected = credentials.clock_offset != ClockOffset::NONE;
        self.tell(identity::clock(offset, corrected, &self.known));
        let trusted = match confirmation {
            Confirmation::Confirmed(_) => Trusted::ByAws,
            _ => Trusted::Unknown,
        };
        is_usable.then_some(Identified {
            entry,
            trusted,
            offset,
        })
    }

    /// Endpoint, DNS, TCP, TLS.
    async fn arrive(&mut self, endpoint: Result<&Endpoint, &Error>, route: Option<Route>) -> Option<Arrived> {
        let Some(mut route) = route else {
            if let Err(error) = endpoint {
                self.tell(conclude::endpoint::no_endpoint(error, None, &self.known));
            }
            self.skip(
                &[Stage::Dns, Stage::Tcp, Stage::Tls],
                "there is no host to connect to",
            );
            return None;
        };
        let mut chain = None;
        while let Some(step) = route.next().await {
            let is_first = matches!(step, Step::Literal(_) | Step::Named(_));
            if let Step::Named(names) = &step {
                chain.clone_from(&names.chain);
            }
            if is_first {
                self.tell(match endpoint {
                    Ok(endpoint) => conclude::endpoint::endpoint(endpoint, chain.as_deref(), &self.known),
                    Err(error) => conclude::endpoint::no_endpoint(error, chain.as_deref(), &self.known),
                });
            }
            match step.concluded(&self.known, clock::now()) {
                (diagnosis, Some(mut arrived)) => {
                    self.tell(diagnosis);
                    arrived.chain = chain;
                    return Some(arrived);
                }
                (diagnosis, None) => {
                    let (stage, failed) = (diagnosis.stage, diagnosis.status == Status::Failure);
                    self.tell(diagnosis);
                    if failed {
                        let rest = [Stage::Tcp, Stage::Tls];
                        let rest: Vec<Stage> = rest.into_iter().filter(|one| *one > stage).collect();
                        self.skip(&rest, "there is no connection");
                        return None;
                    }
                }
            }
        }
        None
    }

    fn signed(
        &self,
        endpoint: &Endpoint,
        entry: &Entry,
        offset: Option<ClockOffset>,
    ) -> Result<(crate::token::AuthToken, clock::Time), Error> {
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

    fn sign(&self, endpoint: &Endpoint, identified: &Identified) -> bool {
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

    async fn log_in(&self, endpoint: &Endpoint, identified: &Identified, arrived: Arrived) {
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
        again: &super::route::Again,
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

async fn confirm(credentials: &Credentials, deadline: Instant) -> (Confirmation, Option<ClockOffset>) {
    match timeout_at(deadline, sts::caller_identity_and_clock(credentials)).await {
        Err(_) => (
            Confirmation::Unknown("STS did not answer in time".to_owned()),
            None,
        ),
        Ok((result, offset)) => (Confirmation::of(result, offset), offset),
    }
}
