//! How far this machine's clock is off, by the `Date` that STS puts on its answers.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use crate::clock::{self, ClockOffset, Time};

/// Belongs to one call; the last attempt's answer counts.
#[derive(Clone, Debug, Default)]
pub struct DateOfAnswer(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    sent: Option<Time>,
    offset: Option<ClockOffset>,
}

impl DateOfAnswer {
    pub fn offset(&self) -> ClockOffset {
        self.measured().unwrap_or_default()
    }

    /// None if no answer had a `Date`.
    pub fn measured(&self) -> Option<ClockOffset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).offset
    }
}

#[dyn_dispatch_hint]
impl Intercept for DateOfAnswer {
    fn name(&self) -> &'static str {
        "DateOfAnswer"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sent = Some(clock::now());
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let received = clock::now();
        let headers = context.response().headers();
        let date = headers
            .get("date")
            .and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer out of a cache has an old date (RFC 9111, 5.1).
        if let (Some(date), Some(sent), None) = (date, seen.sent, headers.get("age")) {
            seen.offset = Some(ClockOffset::measured(
                Time::from_secs(date.secs()),
                sent,
                received,
            ));
        }
        Ok(())
    }
}
