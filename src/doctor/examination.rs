//! The stages in order. What concerns the identity and the way to the server is observed side by side;
//! the diagnoses come out in the order of the stages all the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};

use super::advice::advise;
use super::cause::Cause;
use super::conclude;
use super::conclude::identity::{self, Confirmation};
use super::conclude::login::Trusted;
use super::diagnosis::{Diagnosis, Stage, Status};
use super::route::{Arrived, Route, Step};
use super::situation::Situation;
use crate::clock::{self, ClockOffset};
use crate::credentials::{Credentials, Finding};
use crate::endpoint::{Address, Endpoint};
use crate::error::Error;
use crate::refreshing::{Entry, Outcome, Ticket};
use crate::sts;
use crate::surroundings::Here;

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

pub(super) struct Examination {
    pub(super) patient: Patient,
    pub(super) known: Situation,
    report: UnboundedSender<Diagnosis>,
}

/// What the first half found out of the identity.
pub(super) struct Identified {
    pub(super) entry: Arc<Entry>,
    pub(super) trusted: Trusted,
    pub(super) offset: Option<ClockOffset>,
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

    pub(super) fn tell(&self, diagnosis: Diagnosis) {
        // Nobody listens any more: the task is about to be ended.
        let _ = self.report.send(diagnosis);
    }

    pub(super) fn skip(&self, stages: &[Stage], because: &str) {
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
