//! Tasks that share one client and each have one operation under way at any time.

use std::sync::Arc;

use crate::cell::Op;
use crate::clients::{Client, Decodes};
use crate::dataset::Dataset;

use super::Order;
use super::meter::{Measured, Meter};
use super::steps::{self, Step};

/// Measures a client that does not decode.
pub(crate) fn turn<C: Client>(order: &Order) -> Option<Measured> {
    let data = Dataset::of(order.cell);
    match order.cell.op {
        Op::Get => work::<C, _>(order, steps::Get::new::<C>(&data)),
        Op::Set => work::<C, _>(order, steps::Set::new::<C>(&data)),
        Op::Mget => work::<C, _>(order, steps::GetMany::new::<C>(&data)),
        Op::Mix => work::<C, _>(order, steps::Mix::new::<C>(&data)),
        Op::BesideLarge => work::<C, _>(order, steps::Get::new::<C>(&data)),
        Op::GetJson | Op::GetOrSet => unreachable!("it was not asked to decode"),
    }
}

/// Measures a client that decodes.
pub(crate) fn turn_decoding<C: Decodes>(order: &Order) -> Option<Measured> {
    let data = Dataset::of(order.cell);
    match order.cell.op {
        Op::GetJson => work::<C, _>(order, steps::GetJson::new::<C>(&data)),
        Op::GetOrSet => work::<C, _>(order, steps::GetOrSet::new::<C>(&data)),
        Op::Get | Op::Set | Op::Mget | Op::Mix | Op::BesideLarge => turn::<C>(order),
    }
}

fn work<C: Client, S: Step<C>>(order: &Order, step: S) -> Option<Measured> {
    let Order { cell, url, until } = order.clone();
    C::HOST.run(cell.flavour, async move {
        let client = C::connect(&url, cell.tasks).await;
        let meter = Arc::new(Meter::new(cell.tasks, until, cell.stride()));
        let step = Arc::new(step);
        let task = |index| {
            C::HOST.spawn(repeat(client.clone(), Arc::clone(&step), Arc::clone(&meter), index))
        };
        let tasks: Vec<_> = (0..cell.tasks).map(task).collect();
        if cell.op == Op::BesideLarge {
            C::HOST.spawn(stream_large(client.clone(), Arc::clone(&meter))).detach();
        }
        let mut measured = meter.measure(C::HOST).await;
        let mut nanoseconds = Vec::new();
        for task in tasks {
            nanoseconds.extend(task.join().await);
        }
        if let Some(measured) = &mut measured {
            measured.add_latencies(nanoseconds);
        }
        measured
    })
}

async fn repeat<C, S: Step<C>>(
    mut client: C,
    step: Arc<S>,
    meter: Arc<Meter>,
    index: usize,
) -> Vec<u32> {
    let mut pace = meter.pace(index);
    let mut at = index * APART;
    while pace.goes_on() {
        let began = pace.begin();
        step.check(&step.run(&mut client, at).await);
        pace.end(began, 1);
        at += 1;
    }
    pace.into_nanoseconds()
}

async fn stream_large<C: Client>(mut client: C, meter: Arc<Meter>) {
    let step = steps::Get::large::<C>();
    while !meter.stopped() {
        Step::<C>::check(&step, &step.run(&mut client, 0).await);
    }
}

/// The distance between the keys at which the tasks begin.
const APART: usize = 37;
