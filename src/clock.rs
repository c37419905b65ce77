//! The one clock. Everything else takes `now` as an argument.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall-clock instant in milliseconds since the Unix epoch.
///
/// Expiry is a statement about wall time (AWS writes it so), which is why nothing here is monotonic:
/// a laptop that slept for an hour wakes with credentials that are an hour older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// Reads the wall clock.
#[allow(clippy::disallowed_methods)] // the one place
pub fn now() -> Time {
    Time::from_system(SystemTime::now())
}

/// Reads the clock that nobody sets.
#[allow(clippy::disallowed_methods)] // as above
pub fn steady() -> Instant {
    Instant::now()
}

impl Time {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub fn from_system(time: SystemTime) -> Self {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Self(millis)
    }

    pub fn to_system(self) -> SystemTime {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 >= 0 {
            UNIX_EPOCH + distance
        } else {
            UNIX_EPOCH - distance
        }
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Time from `self` until `later`; zero if that has passed.
    pub fn until(self, later: Time) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// `YYYYMMDDTHHMMSSZ`, as SigV4 writes it (years 0 to 9999). The first eight bytes are the date.
    pub fn amz_date(self) -> [u8; 16] {
        let secs = self.secs();
        let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let mut out = *b"00000000T000000Z";
        digits(&mut out[0..4], year);
        digits(&mut out[4..6], month);
        digits(&mut out[6..8], day);
        digits(&mut out[9..11], second / 3600);
        digits(&mut out[11..13], second / 60 % 60);
        digits(&mut out[13..15], second % 60);
        out
    }
}

/// How far the clock of this machine is behind (or, if negative, ahead of) AWS's.
///
/// A signature more than five minutes off is refused, and an expiry read on a wrong clock comes too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset(i64);

impl ClockOffset {
    pub const NONE: ClockOffset = ClockOffset(0);
    /// Less than this is left alone: `Date` has whole seconds, and an answer takes time to arrive.
    const NEGLIGIBLE_MILLIS: i64 = 60_000;

    /// From the `Date` of an answer that was asked for at `sent` and was here at `received`.
    pub fn measured(date: Time, sent: Time, received: Time) -> Self {
        let middle = sent.0 + (received.0 - sent.0) / 2;
        let offset = date.0 - middle;
        // `Date` cannot be trusted further than the answer took to come.
        if offset.abs() < Self::NEGLIGIBLE_MILLIS + (received.0 - sent.0).abs() {
            return Self::NONE;
        }
        Self(offset)
    }

    /// Whole seconds; positive where this machine is behind.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// AWS's time at this machine's `local`.
    pub fn corrected(self, local: Time) -> Time {
        Time(local.0.saturating_add(self.0))
    }

    /// When an expiry, by AWS's clock, has surely come by this machine's: `Date` is cut to whole seconds, so
    /// that AWS's clock may be up to one second further than it said.
    pub fn local_end(self, end: Time) -> Time {
        let cut = if self == Self::NONE { 0 } else { 1000 };
        Time(end.0.saturating_sub(self.0).saturating_sub(cut))
    }
}

/// Both clocks, read together.
///
/// An offset holds only while the wall clock runs on: when somebody at last sets it right, applying the offset
/// is what would make it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    wall: Time,
    steady: Instant,
}

impl Anchor {
    const TOLERANCE_MILLIS: i64 = 30_000;

    pub const fn new(wall: Time, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// True if the wall clock has been set since. A machine that slept looks the same: on most systems the
    /// steady clock sleeps, too.
    pub fn has_slipped(&self, wall: Time, steady: Instant) -> bool {
        let passed = steady.saturating_duration_since(self.steady).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        (wall.0 - self.wall.0).abs_diff(passed) > Self::TOLERANCE_MILLIS.unsigned_abs()
    }
}

fn digits(out: &mut [u8], mut value: i64) {
    for slot in out.iter_mut().rev() {
        *slot = b'0' + (value.rem_euclid(10)) as u8;
        value = value.div_euclid(10);
    }
}

/// Gregorian date of a day number counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level
/// date algorithms": years start in March, so that the leap day comes last).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = self.amz_date();
        let part = |range: std::ops::Range<usize>| std::str::from_utf8(&d[range]).unwrap_or("?");
        write!(
            f,
            "{}-{}-{}T{}:{}:{}Z",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        // `date -u -d @N +%Y%m%dT%H%M%SZ`
        for (secs, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_724_709_600, "20240826T220000Z"),
            (1_767_323_045, "20260102T030405Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (-1, "19691231T235959Z"),
        ] {
            assert_eq!(Time::from_secs(secs).amz_date(), expected.as_bytes(), "{secs}");
        }
    }

    #[test]
    fn offsets() {
        let at = Time::from_secs;
        for (name, date, sent, received, expected) in [
            ("right", 1000, 1000, 1001, 0),
            ("a little off", 1059, 1000, 1000, 0),
            ("behind", 1600, 1000, 1000, 600),
            ("ahead", 400, 1000, 1000, -600),
            ("half of a slow answer", 1650, 1000, 1100, 600),
            ("slow, so not known well enough", 1120, 1000, 1100, 0),
        ] {
            let offset = ClockOffset::measured(at(date), at(sent), at(received));
            assert_eq!(offset, ClockOffset(expected * 1000), "{name}");
            let cut = i64::from(expected != 0);
            assert_eq!(offset.local_end(offset.corrected(at(77))), at(77 - cut), "{name}");
        }
        let behind = ClockOffset(600_000);
        assert_eq!(behind.corrected(at(1000)), at(1600));
    }

    #[test]
    fn anchors_slip_when_the_clock_is_set() {
        let begun = steady();
        let later = |seconds| begun + Duration::from_secs(seconds);
        let anchor = Anchor::new(Time::from_secs(1000), later(5));
        for (wall, seconds, slipped) in [
            (1000, 5, false),
            (1600, 605, false),
            (1620, 605, false),
            (2200, 605, true),
            (1000, 605, true),
            (400, 6, true),
        ] {
            let is = anchor.has_slipped(Time::from_secs(wall), later(seconds));
            assert_eq!(is, slipped, "{wall}, {seconds}");
        }
    }

    #[test]
    fn system_time_round_trips_and_never_overflows() {
        for millis in [0, 1, -1, 1_767_323_045_678] {
            assert_eq!(
                Time::from_system(Time::from_millis(millis).to_system()).millis(),
                millis
            );
        }
        assert_eq!((Time::from_millis(i64::MAX) + Duration::MAX).millis(), i64::MAX);
        assert_eq!(Time::from_secs(5).until(Time::from_secs(3)), Duration::ZERO);
        assert_eq!(Time::from_secs(1_767_323_045).to_string(), "2026-01-02T03:04:05Z");
    }
}
