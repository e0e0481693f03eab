//! Families written through an encoder of `prometheus-client`, in either text format.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::labels::{Labels, Part, Series};
use crate::histogram::Histogram;

/// What sets the formats apart. In `OpenMetrics` a counter's family has a name without the `_total`
/// of its samples, and a unit has a line of its own; in the older text both have one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Plain,
}

pub(super) struct Writer<'a, 'b> {
    pub(super) encoder: &'a mut DescriptorEncoder<'b>,
    pub(super) format: Format,
}

type Rows<R> = BTreeMap<Labels, R>;

impl Writer<'_, '_> {
    /// `name` without `_total`. A family without any series is left out.
    pub(super) fn counter<R, V: IntoIterator<Item = (Part, u64)>>(
        &mut self,
        name: &str,
        help: &str,
        rows: &Rows<R>,
        values: impl Fn(&R) -> V,
    ) -> fmt::Result {
        let name = if self.plain() { format!("{name}_total") } else { name.to_owned() };
        self.numbers(&name, help, MetricType::Counter, rows, values)
    }

    pub(super) fn gauge<R, V: IntoIterator<Item = (Part, u64)>>(
        &mut self,
        name: &str,
        help: &str,
        rows: &Rows<R>,
        values: impl Fn(&R) -> V,
    ) -> fmt::Result {
        self.numbers(name, help, MetricType::Gauge, rows, values)
    }

    fn numbers<R, V: IntoIterator<Item = (Part, u64)>>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: &Rows<R>,
        values: impl Fn(&R) -> V,
    ) -> fmt::Result {
        let with_total = matches!(kind, MetricType::Counter) && !self.plain();
        let each = |(labels, row)| values(row).into_iter().map(move |(part, n)| (labels, part, n));
        let mut numbers = rows.iter().flat_map(each).peekable();
        if numbers.peek().is_none() {
            return Ok(());
        }
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, part, number) in numbers {
            let series = Series(labels, part);
            let mut metric = family.encode_family(&series)?;
            if with_total {
                metric.encode_counter::<NoLabelSet, u64, f64>(&number, None)?;
            } else {
                // A gauge refuses more than this.
                metric.encode_gauge(&i64::try_from(number).unwrap_or(i64::MAX))?;
            }
        }
        Ok(())
    }

    /// In seconds; `name` without its unit.
    pub(super) fn times<R>(
        &mut self,
        name: &str,
        help: &str,
        rows: &Rows<R>,
        times: impl Fn(&R) -> &Histogram,
    ) -> fmt::Result {
        self.times_from(FIRST_MICROS, (name, help), rows, times)
    }

    /// The same for what may take a fraction of a millisecond.
    #[cfg(feature = "websocket")]
    pub(super) fn short_times<R>(
        &mut self,
        name: &str,
        help: &str,
        rows: &Rows<R>,
        times: impl Fn(&R) -> &Histogram,
    ) -> fmt::Result {
        self.times_from(FIRST_SHORT_MICROS, (name, help), rows, times)
    }

    fn times_from<R>(
        &mut self,
        first_micros: u64,
        (name, help): (&str, &str),
        rows: &Rows<R>,
        times: impl Fn(&R) -> &Histogram,
    ) -> fmt::Result {
        if rows.is_empty() {
            return Ok(());
        }
        let in_name = format!("{name}_seconds");
        let (name, unit) =
            if self.plain() { (in_name.as_str(), None) } else { (name, Some(&Unit::Seconds)) };
        let mut family = self.encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, row) in rows {
            let times = times(row);
            let series = Series(labels, None);
            let mut metric = family.encode_family(&series)?;
            let (sum, count) = (times.sum().as_secs_f64(), times.count());
            metric.encode_histogram::<NoLabelSet>(
                sum,
                count,
                &buckets(times, first_micros),
                None,
            )?;
        }
        Ok(())
    }

    fn plain(&self) -> bool {
        self.format == Format::Plain
    }
}

/// The bounds of the buckets: 5.12 ms, doubled 17 times, which is 671 s. They are those of every
/// fourth bucket of a [`Histogram`], so nothing is guessed. The doublings of 10 ms that OpenTelemetry
/// advises for `gen_ai.client.operation.duration` differ from them by 2.4 %.
const FIRST_MICROS: u64 = 5120;
/// The first of short times: 80 us, doubled 17 times, which is 10.5 s.
#[cfg(any(test, feature = "websocket"))]
const FIRST_SHORT_MICROS: u64 = 80;
const BOUNDS: usize = 18;

/// Each bound in seconds and what is below it but not below the one before, the rest at the end.
fn buckets(times: &Histogram, first_micros: u64) -> [(f64, u64); BOUNDS + 1] {
    // The encoder's word for +Inf.
    let mut buckets = [(f64::MAX, 0_u64); BOUNDS + 1];
    let mut fine = times.buckets().peekable();
    for (number, (bound, entries)) in buckets.iter_mut().enumerate() {
        let micros = u128::from(first_micros << number);
        let last = number == BOUNDS;
        if !last {
            // A quotient of whole numbers is the float nearest to it, and is written as short.
            *bound = (first_micros << number) as f64 / 1e6;
        }
        while let Some((_, more)) = fine.next_if(|(to, _)| last || to.as_micros() <= micros) {
            *entries = entries.saturating_add(more);
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_bound_is_one_of_the_fine_buckets() {
        let fine: Vec<_> = Histogram::new().buckets().map(|(bound, _)| bound).collect();
        for (first, ends) in
            [(FIRST_MICROS, (0.00512, 671.08864)), (FIRST_SHORT_MICROS, (0.00008, 10.48576))]
        {
            let bounds = buckets(&Histogram::new(), first).map(|(bound, _)| bound);
            for bound in &bounds[..BOUNDS] {
                assert!(fine.contains(&Duration::from_secs_f64(*bound)), "{bound}");
            }
            assert_eq!((bounds[0], bounds[BOUNDS - 1]), ends);
            assert_eq!(bounds[BOUNDS], f64::MAX);
        }
    }

    #[test]
    fn an_entry_is_in_the_first_bucket_whose_bound_it_is_below() {
        for (micros, bucket) in [
            (0, 0),
            (5119, 0),
            (5120, 1),
            (10_239, 1),
            (1_000_000, 8),
            (671_088_639, 17),
            (671_088_640, 18),
            (u64::MAX, 18),
        ] {
            let mut times = Histogram::new();
            times.add(Duration::from_micros(micros));
            let found = buckets(&times, FIRST_MICROS).map(|(_, entries)| entries);
            assert_eq!(found.iter().position(|entries| *entries == 1), Some(bucket), "{micros}");
            assert_eq!(found.iter().sum::<u64>(), 1);
        }
    }
}
