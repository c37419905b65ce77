use std::sync::atomic::AtomicUsize;

use super::*;
use crate::credentials::{Finding, State};
use crate::secret::Secret;

#[derive(Default)]
struct Counting(AtomicUsize);

impl Source for Counting {
    fn fetch(&self, _caller: Caller) -> Fetch {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            Ok(Credentials {
                access_key: format!("AKID{number}"),
                secret_key: Secret::from("secret"),
                session_token: None,
                expires_at: Some(clock::now() + Duration::from_secs(3600)),
                account_id: None,
                source: "a test".to_owned(),
                region: None,
                clock_offset: ClockOffset::NONE,
            })
        })
    }

    fn explain(&self) -> Vec<Finding> {
        vec![Finding::new("test", State::Taken, "")]
    }
}

struct Silent;

impl Observer for Silent {
    fn early_refresh_failed(&self, _error: &Error, _valid_until: Option<Time>) {}
}

fn key_of(ticket: Ticket) -> String {
    match runtime::handle().unwrap().block_on(ticket.outcome()) {
        Outcome::Ready(entry) => entry.signer.credentials().access_key.clone(),
        Outcome::Failed(error) => panic!("{error}"),
        Outcome::Abandoned => panic!("abandoned"),
    }
}

/// Between a caller's look at the credentials and its place in the queue, the fetch of all others may end.
#[test]
fn who_looked_before_a_fetch_ended_does_not_begin_another() {
    let source = Arc::new(Counting::default());
    let refreshing = Refreshing::new(Arc::clone(&source) as _, Arc::new(Silent));
    let looked_at = clock::now();
    assert!(refreshing.usable(Caller::Thread, looked_at).is_none());
    let first = key_of(refreshing.wait(Caller::Thread, looked_at).unwrap());
    let late = key_of(refreshing.wait(Caller::Thread, looked_at).unwrap());
    assert_eq!((first.as_str(), late.as_str()), ("AKID0", "AKID0"));
    assert_eq!(source.0.load(Ordering::Relaxed), 1);
    let renewed = key_of(refreshing.renew(Caller::Thread, looked_at).unwrap());
    assert_eq!(renewed, "AKID1");
    refreshing.invalidate();
    assert_eq!(
        key_of(refreshing.wait(Caller::Thread, looked_at).unwrap()),
        "AKID2"
    );
}
