//! What waits in a class that goes is given time to leave: the kernel throws it away with the class.

use crate::kernel::{Error, Kernel};
use crate::plan::{Step, Subject, Verb};
use crate::tree::Id;
use crate::unit::Handle;
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a plan waits, in all of its interfaces together: nothing new comes to these classes any more, so a queue that
/// is longer than a second of its rate was too long before.
const PATIENCE: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(5);

/// The time that is left for waiting, and what was lost all the same.
pub(super) struct Drain {
    end: Option<Instant>,
    /// Packets that still waited when their class went.
    pub(super) lost: u64,
}

impl Drain {
    pub(super) fn new() -> Drain {
        Drain { end: None, lost: 0 }
    }

    /// The class that a step takes away.
    pub(super) fn class(step: &Step) -> Option<Handle> {
        match &step.subject {
            Subject::Object(object) if step.verb == Verb::Delete && matches!(object.id, Id::Class { .. }) => {
                object.handle()
            }
            _ => None,
        }
    }

    /// Whether a step takes a class away from an interface, and the one before it does not.
    pub(super) fn begins(before: Option<&Step>, step: &Step) -> bool {
        let same = before.is_some_and(|b| b.interface == step.interface && Drain::class(b).is_some());
        Drain::class(step).is_some() && !same
    }

    /// Waits until nothing waits in the classes that `steps` take away, one after another on one interface.
    ///
    /// # Errors
    /// The classes cannot be read.
    pub(super) fn wait(&mut self, kernel: &mut Kernel, index: u32, steps: &[Step]) -> Result<(), Error> {
        let interface = steps.first().map(|step| &step.interface);
        let here = steps.iter().take_while(|step| Some(&step.interface) == interface);
        let going: HashSet<Handle> = here.map_while(Drain::class).collect();
        loop {
            let waiting = kernel.waiting(index)?;
            let waits: u64 = waiting.into_iter().filter(|(class, _)| going.contains(class)).map(|(_, n)| n).sum();
            let end = *self.end.get_or_insert_with(|| Instant::now() + PATIENCE);
            if waits == 0 || Instant::now() >= end {
                self.lost += waits;
                return Ok(());
            }
            sleep(PACE);
        }
    }
}
