//! Timestamps as the access log writes them: RFC 3339 in UTC with milliseconds.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the distance between the two clocks is taken for constant.
const SAME_DISTANCE: Duration = Duration::from_secs(1);

/// `YYYY-MM-DDThh:mm:ss.`
const UP_TO_SECONDS: usize = 20;

/// The time of day of moments that were read off the monotonic clock, which every request reads anyway.
#[derive(Clone, Debug)]
pub struct WallClock {
    anchor: Instant,
    since_epoch: Duration,
}

impl Default for WallClock {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: Instant::now(), since_epoch }
    }
}

impl WallClock {
    pub fn since_epoch(&mut self, moment: Instant) -> Duration {
        if moment.saturating_duration_since(self.anchor) > SAME_DISTANCE {
            *self = Self::default();
        }
        match moment.checked_duration_since(self.anchor) {
            Some(later) => self.since_epoch + later,
            None => self.since_epoch.saturating_sub(self.anchor - moment),
        }
    }
}

/// Formats timestamps; remembers the text of the last second, because most requests share it with the one before.
#[derive(Clone, Debug)]
pub struct TimestampText {
    second: u64,
    text: [u8; UP_TO_SECONDS],
}

impl Default for TimestampText {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00." }
    }
}

impl TimestampText {
    pub fn write(&mut self, since_epoch: Duration, out: &mut Vec<u8>) {
        if self.second != since_epoch.as_secs() {
            self.second = since_epoch.as_secs();
            self.text = up_to_seconds(self.second);
        }
        let milliseconds = since_epoch.subsec_millis();
        let digit = |unit: u32| b'0' + (milliseconds / unit % 10) as u8;
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&[digit(100), digit(10), digit(1), b'Z']);
    }
}

fn up_to_seconds(since_epoch: u64) -> [u8; UP_TO_SECONDS] {
    let (year, month, day) = civil_date((since_epoch / 86_400) as i64);
    let second_of_day = since_epoch % 86_400;
    let mut text = *b"0000-00-00T00:00:00.";
    put(&mut text[..4], year as u64);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], second_of_day / 3600);
    put(&mut text[14..16], second_of_day / 60 % 60);
    put(&mut text[17..19], second_of_day % 60);
    text
}

fn put(places: &mut [u8], mut value: u64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from
/// March inside 400-year eras of 146,097 days, which puts the leap day last.
fn civil_date(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u64, day as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        let mut clock = TimestampText::default();
        for (seconds, milliseconds, want) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, 7, "2000-02-29T00:00:00.007Z"),
            (951_782_400, 80, "2000-02-29T00:00:00.080Z"),
            (951_868_799, 999, "2000-02-29T23:59:59.999Z"),
            (1_767_225_599, 120, "2025-12-31T23:59:59.120Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            clock.write(Duration::from_millis(seconds * 1000 + milliseconds), &mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), want);
        }
    }
}
