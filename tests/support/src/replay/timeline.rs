//! A recorded outage, second by second.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use super::Behaviour;
use super::recording::{Folder, Recording, columns, path};

/// Slower than this was the gateway; quicker was a connection that had to be opened twice.
const SLOW: Duration = Duration::from_secs(2);

/// What each target answered from which second on.
pub struct Timeline(HashMap<String, Vec<(u64, Behaviour)>>);

impl Timeline {
    /// Reads `TIMELINE-{kind}.csv` of the folder `down` was read from; what it tells in part is completed from the two
    /// folders.
    pub fn read(healthy: &Folder, down: &Folder, kind: &str, speed: u32) -> Timeline {
        let file = path(&down.name).join(format!("TIMELINE-{kind}.csv"));
        let text = fs::read_to_string(file).expect("a timeline");
        let mut timeline: HashMap<String, Vec<_>> = HashMap::new();
        for row in text.lines().skip(1).map(columns) {
            let [second, target, _, _, size, latency, start] =
                row.try_into().expect("seven columns");
            let (Some(well), Some(ill)) = (healthy.find("GET", &target), down.find("GET", &target))
            else {
                continue;
            };
            let latency = Duration::from_millis(latency.parse().expect("milliseconds"));
            let pause = if latency >= SLOW {
                latency / speed
            } else {
                Duration::ZERO
            };
            let wire = answer(
                well,
                ill,
                size.parse().expect("a size"),
                &start.replace("\\n", "\n"),
            );
            let second = second.parse::<f64>().expect("a second") as u64;
            timeline
                .entry(target)
                .or_default()
                .push((second, Behaviour::Says(wire, pause)));
        }
        assert!(timeline.len() > 4, "{} targets", timeline.len());
        Timeline(timeline)
    }

    /// What `target` answers in that second. `None`: nobody watched it.
    pub fn at(&self, target: &str, second: u64) -> Option<Behaviour> {
        let rows = self.0.get(target)?;
        rows.iter()
            .rev()
            .find(|(from, _)| *from <= second)
            .map(|(_, behaviour)| behaviour.clone())
    }
}

/// The whole answer of which a row tells the size and the start.
fn answer(well: &Recording, ill: &Recording, size: usize, start: &str) -> std::sync::Arc<[u8]> {
    let start = start.as_bytes();
    if start.len() == size {
        return if ill.reply.body == start {
            ill.wire.clone()
        } else {
            well.saying(start)
        };
    }
    if size == well.reply.body.len() {
        return well.wire.clone();
    }
    if size == ill.reply.body.len() {
        return ill.wire.clone();
    }
    // In between: it begins as told and ends like the answer of the outage.
    match size
        .checked_sub(start.len())
        .and_then(|rest| ill.reply.body.len().checked_sub(rest))
    {
        Some(from) => well.saying(&[start, &ill.reply.body[from..]].concat()),
        None => well.wire.clone(),
    }
}
