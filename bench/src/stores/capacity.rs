//! The capacity that DynamoDB says its requests have consumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

/// How the rows of leases begin in the table.
const LEASES: &str = "lease/";

/// Sums up what the requests of one client consume. Clones share their sums.
#[derive(Debug, Clone, Default)]
pub(super) struct Capacity(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    write_units_tenths: AtomicU64,
    heartbeat_read_units_tenths: AtomicU64,
    audit_read_units_tenths: AtomicU64,
}

/// What was consumed since the last look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Consumed {
    pub(super) write_units: f64,
    pub(super) heartbeat_read_units: f64,
    /// Read by lists of the leases.
    pub(super) audit_read_units: f64,
}

impl Capacity {
    pub(super) fn take(&self) -> Consumed {
        #[expect(clippy::cast_precision_loss, reason = "a minute's units are few")]
        let tenths = |counter: &AtomicU64| counter.swap(0, Ordering::SeqCst) as f64 / 10.0;
        Consumed {
            write_units: tenths(&self.0.write_units_tenths),
            heartbeat_read_units: tenths(&self.0.heartbeat_read_units_tenths),
            audit_read_units: tenths(&self.0.audit_read_units_tenths),
        }
    }
}

fn add(units_tenths: &AtomicU64, consumed: Option<&ConsumedCapacity>) {
    let units = consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "units are small and not negative")]
    units_tenths.fetch_add((units * 10.0).round() as u64, Ordering::SeqCst);
}

/// Whether the query brought leases. All others bring the registry.
fn has_leases(query: &QueryOutput) -> bool {
    let values = query.items().iter().flat_map(|item| item.values());
    values.filter_map(|value| value.as_s().ok()).any(|value| value.starts_with(LEASES))
}

impl Intercept for Capacity {
    fn name(&self) -> &'static str {
        "Capacity"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let asked = Some(ReturnConsumedCapacity::Total);
        if let Some(put) = context.input_mut().downcast_mut::<PutItemInput>() {
            put.return_consumed_capacity = asked;
        } else if let Some(query) = context.input_mut().downcast_mut::<QueryInput>() {
            query.return_consumed_capacity = asked;
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        if let Some(put) = output.downcast_ref::<PutItemOutput>() {
            add(&self.0.write_units_tenths, put.consumed_capacity());
        } else if let Some(query) = output.downcast_ref::<QueryOutput>() {
            let Sums { audit_read_units_tenths, heartbeat_read_units_tenths, .. } = &*self.0;
            let units = if has_leases(query) { audit_read_units_tenths } else { heartbeat_read_units_tenths };
            add(units, query.consumed_capacity());
        }
        Ok(())
    }
}
