//! Ties the flow together: the one stateful object.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Time;
use crate::credentials::{Caller, Finding, Source};
use crate::endpoint::{Address, Endpoint};
use crate::error::Result;
use crate::refreshing::{Entry, Observer, Refreshing, Ticket};
use crate::token::{AuthToken, Login};

pub struct Client {
    refreshing: Refreshing,
    tokens: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub tokens: u64,
    pub refreshes: u64,
    pub refresh_failures: u64,
    pub waits: u64,
    pub last_refresh: Option<Time>,
    pub expires_at: Option<Time>,
}

impl Client {
    pub fn new(source: Arc<dyn Source>, observer: Arc<dyn Observer>) -> Self {
        Self {
            refreshing: Refreshing::new(source, observer),
            tokens: AtomicU64::new(0),
        }
    }

    /// What keeps the credentials, to be the base of other sources.
    pub fn refreshing(&self) -> &Refreshing {
        &self.refreshing
    }

    /// Every place that was or would be looked at for credentials.
    pub fn explain(&self) -> Vec<Finding> {
        self.refreshing.source().explain()
    }

    /// Credentials that can sign now, if there are any without waiting.
    pub fn usable(&self, caller: Caller, now: Time) -> Option<Arc<Entry>> {
        self.refreshing.usable(caller, now)
    }

    /// A place in the queue for credentials.
    pub fn wait(&self, caller: Caller, now: Time) -> Result<Ticket> {
        self.refreshing.counters().waits.fetch_add(1, Ordering::Relaxed);
        self.refreshing.wait(caller, now)
    }

    /// A place in the queue for newer credentials than the present ones, which stay until those are here.
    pub fn refresh(&self, caller: Caller, now: Time) -> Result<Ticket> {
        self.refreshing.renew(caller, now)
    }

    pub fn invalidate(&self) {
        self.refreshing.invalidate();
    }

    /// Signs with what `usable` or a ticket gave.
    pub fn mint(
        &self,
        entry: &Entry,
        address: &Address<'_>,
        login: Login<'_>,
        environment_region: impl FnOnce() -> Option<String>,
        now: Time,
    ) -> Result<AuthToken> {
        let profile_region = || entry.signer.credentials().region.clone();
        let endpoint = Endpoint::parse(address, || environment_region().or_else(profile_region))?;
        let token = entry.signer.sign(&endpoint, login, entry.true_time(now))?;
        self.tokens.fetch_add(1, Ordering::Relaxed);
        Ok(token)
    }

    pub fn stats(&self) -> Stats {
        let counters = self.refreshing.counters();
        let present = self.refreshing.present();
        Stats {
            tokens: self.tokens.load(Ordering::Relaxed),
            refreshes: counters.refreshes.load(Ordering::Relaxed),
            refresh_failures: counters.refresh_failures.load(Ordering::Relaxed),
            waits: counters.waits.load(Ordering::Relaxed),
            last_refresh: counters.last_refresh(),
            expires_at: present.and_then(|entry| entry.signer.credentials().expires_at),
        }
    }
}
