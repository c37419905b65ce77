//! When credentials are used, refreshed early, or waited for. Pure: the clock is passed in.

use std::time::Duration;

use crate::clock::Time;

/// Credentials without an expiry (profile files, environment) are read anew after this time.
pub const REREAD_AFTER: Duration = Duration::from_secs(300);
const EARLY_AT_MOST: Duration = Duration::from_secs(15 * 60);
const MANDATORY_AT_MOST: Duration = Duration::from_secs(60);
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_secs(60);
/// Where there is nothing left to sign with, nobody is held back for longer than this.
pub const URGENT_BACK_OFF: Duration = Duration::from_secs(10);
/// A failure older than this says nothing about the source any more.
const LATELY: Duration = Duration::from_secs(300);

/// Since when and until when something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub obtained_at: Time,
    pub valid_until: Option<Time>,
    /// Never refreshed: the answer cannot change.
    pub is_constant: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Fresh.
    Use,
    /// Valid, but near enough to the end that one refresh should run beside.
    UseAndRefresh,
    /// Too near to the end, or past it.
    Wait,
}

impl Lease {
    /// From here on nobody can say `Use` without looking closer: the first instant of the early window.
    pub fn fresh_until(&self) -> Time {
        match (self.is_constant, self.valid_until) {
            (true, None) => Time::from_millis(i64::MAX),
            (true, Some(end)) => end,
            (false, None) => self.obtained_at + REREAD_AFTER,
            (false, Some(end)) => end - self.early_window(end),
        }
    }

    fn early_window(&self, end: Time) -> Duration {
        (self.obtained_at.until(end) / 5).min(EARLY_AT_MOST)
    }

    /// A minute, but never most of a short life: credentials of 30 seconds would be refreshed at each use.
    fn mandatory_window(&self, end: Time) -> Duration {
        (self.obtained_at.until(end) / 10).min(MANDATORY_AT_MOST)
    }

    /// `spread` in 0..1 is this process's own: it moves the start of the early refresh within the first
    /// quarter of the window, so that forked workers who share one lease do not refresh in lockstep.
    pub fn decide(&self, now: Time, spread: f64) -> Decision {
        // The clock was set back: how old the lease is, is not known.
        let is_from_the_future = now + REREAD_AFTER < self.obtained_at && !self.is_constant;
        let Some(end) = self.valid_until else {
            let starts = self.fresh_until() + REREAD_AFTER.mul_f64(spread / 4.0);
            return if now >= starts || is_from_the_future {
                Decision::UseAndRefresh
            } else {
                Decision::Use
            };
        };
        if self.is_constant {
            return if now < end { Decision::Use } else { Decision::Wait };
        }
        if now >= end - self.mandatory_window(end) {
            return Decision::Wait;
        }
        let early = self.early_window(end);
        let starts = end - early + early.mul_f64(spread / 4.0);
        if now >= starts || is_from_the_future {
            Decision::UseAndRefresh
        } else {
            Decision::Use
        }
    }
}

/// How long nobody tries again after `failures` in a row: doubled each time, and jittered over its upper
/// half so that a fleet that failed together does not return together.
pub fn back_off(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_BACK_OFF
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LAST_BACK_OFF);
    doubled.mul_f64(0.5 + jitter / 2.0)
}

/// A failure that is remembered, so that a service which cannot log in says so at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    pub failed_at: Time,
    /// Nobody refreshes early before.
    pub not_before: Time,
}

impl SetBack {
    /// Whether an early refresh has to wait.
    pub fn holds_back(&self, now: Time) -> bool {
        (self.failed_at..self.not_before).contains(&now)
    }

    /// Whether those who need credentials get the remembered error. Not if credentials have ended since it
    /// was made: so far nobody had been in need of any.
    pub fn answers(&self, now: Time, ended: Option<Time>) -> bool {
        let has_ended_since = ended.is_some_and(|end| self.failed_at < end && end <= now);
        self.holds_back(now) && now < self.failed_at + URGENT_BACK_OFF && !has_ended_since
    }

    /// Whether whoever waits for the next attempt can do with this error, should that one take long.
    pub fn is_of_late(&self, now: Time) -> bool {
        (self.failed_at..self.failed_at + LATELY).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Use, UseAndRefresh, Wait};

    fn lease(obtained: i64, end: Option<i64>) -> Lease {
        Lease {
            obtained_at: Time::from_secs(obtained),
            valid_until: end.map(Time::from_secs),
            is_constant: false,
        }
    }

    #[test]
    fn decisions() {
        let hour = lease(0, Some(3600));
        let six_hours = lease(0, Some(21_600));
        let quarter = lease(0, Some(900));
        let seconds = lease(0, Some(10));
        let open = lease(1000, None);
        for (name, lease, now, spread, expected) in [
            // 20 % of an hour is 720 s, less than 15 minutes.
            ("fresh", hour, 2879, 0.0, Use),
            ("early at 20 %", hour, 2880, 0.0, UseAndRefresh),
            ("spread holds back", hour, 2880, 0.9, Use),
            (
                "spread ends at a quarter of the window",
                hour,
                3060,
                0.999,
                UseAndRefresh,
            ),
            ("last second before mandatory", hour, 3539, 0.0, UseAndRefresh),
            ("mandatory under a minute", hour, 3540, 0.0, Wait),
            ("expired", hour, 3600, 0.0, Wait),
            ("long expired", hour, 999_999, 0.5, Wait),
            ("15 minutes at the most", six_hours, 20_699, 0.0, Use),
            ("15 minutes at the most", six_hours, 20_700, 0.0, UseAndRefresh),
            ("shortest STS session", quarter, 719, 0.0, Use),
            ("shortest STS session", quarter, 720, 0.0, UseAndRefresh),
            ("shortest STS session", quarter, 840, 0.0, Wait),
            ("seconds are used for most of their life", seconds, 7, 0.0, Use),
            (
                "seconds are used for most of their life",
                seconds,
                8,
                0.0,
                UseAndRefresh,
            ),
            ("seconds are used for most of their life", seconds, 9, 0.0, Wait),
            ("no expiry", open, 1299, 0.0, Use),
            ("no expiry, read again", open, 1300, 0.0, UseAndRefresh),
            ("no expiry, spread", open, 1300, 0.5, Use),
            (
                "no expiry, never waited for",
                open,
                9_999_999,
                0.99,
                UseAndRefresh,
            ),
            ("clock set back a little", hour, -100, 0.0, Use),
            (
                "clock set back far",
                lease(100_000, Some(103_600)),
                1,
                0.0,
                UseAndRefresh,
            ),
            ("clock set back far", lease(100_000, None), 1, 0.0, UseAndRefresh),
            ("dead on arrival", lease(3600, Some(3600)), 3600, 0.0, Wait),
            ("dead on arrival", lease(3700, Some(3600)), 3700, 0.0, Wait),
        ] {
            assert_eq!(
                lease.decide(Time::from_secs(now), spread),
                expected,
                "{name} at {now}, {spread}"
            );
        }
    }

    #[test]
    fn constants_are_used_until_they_end() {
        let constant = |end| Lease {
            is_constant: true,
            ..lease(0, end)
        };
        assert_eq!(constant(None).decide(Time::from_secs(i64::MAX / 4000), 0.9), Use);
        assert_eq!(constant(Some(100)).decide(Time::from_secs(99), 0.0), Use);
        assert_eq!(constant(Some(100)).decide(Time::from_secs(100), 0.0), Wait);
    }

    #[test]
    fn nothing_is_refreshed_before_fresh_until() {
        for lease in [
            lease(0, Some(3600)),
            lease(0, Some(5)),
            lease(50, None),
            lease(0, Some(86_400)),
        ] {
            let before = lease.fresh_until() - Duration::from_millis(1);
            assert_eq!(lease.decide(before, 0.0), Use, "{lease:?}");
            assert_ne!(lease.decide(lease.fresh_until(), 0.0), Use, "{lease:?}");
        }
    }

    #[test]
    fn set_backs() {
        let at = Time::from_secs;
        let set_back = |failed, until| SetBack {
            failed_at: at(failed),
            not_before: at(until),
        };
        // (name, set-back, now, end of the credentials, early refresh waits, callers get the error)
        for (name, set_back, now, ended, waits, answers) in [
            ("just now", set_back(100, 104), 101, None, true, true),
            ("over", set_back(100, 104), 104, None, false, false),
            ("a long one", set_back(100, 160), 109, None, true, true),
            ("a long one, in need", set_back(100, 160), 110, None, true, false),
            ("ended since", set_back(100, 160), 105, Some(at(103)), true, false),
            ("ended before", set_back(100, 160), 105, Some(at(99)), true, true),
            (
                "not ended yet",
                set_back(100, 160),
                105,
                Some(at(200)),
                true,
                true,
            ),
            (
                "the clock was set back",
                set_back(100, 160),
                50,
                None,
                false,
                false,
            ),
        ] {
            assert_eq!(set_back.holds_back(at(now)), waits, "{name}");
            assert_eq!(set_back.answers(at(now), ended), answers, "{name}");
        }
    }

    #[test]
    fn a_failure_is_of_late_for_five_minutes() {
        let set_back = SetBack {
            failed_at: Time::from_secs(100),
            not_before: Time::from_secs(101),
        };
        for (now, of_late) in [(99, false), (100, true), (399, true), (400, false)] {
            assert_eq!(set_back.is_of_late(Time::from_secs(now)), of_late, "at {now}");
        }
    }

    #[test]
    fn back_off_doubles_to_a_minute() {
        let seconds: Vec<f64> = (1..9).map(|n| back_off(n, 1.0).as_secs_f64()).collect();
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(back_off(1, 0.0), Duration::from_millis(500));
        assert_eq!(back_off(u32::MAX, 0.0), Duration::from_secs(30));
    }
}
