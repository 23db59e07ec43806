//! The scheduler: one thread that waits on the clock only. It offers polls when they are due and hears of their end.

pub mod plan;

use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use parking_lot::{Condvar, Mutex};

use self::plan::{Gauges, Plan};
use crate::clock::Clock;
use crate::proxy::{PollEnd, Proxy};

/// An idle scheduler looks at the clock this often at the least.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Who moves the clock waits so long at the most for what follows.
const MOVED: Duration = Duration::from_secs(5);

/// The polls of one origin, and what is heard of them.
pub struct Scheduler {
    /// Protects: what was heard since the thread last looked; one place per poll, so that it is bounded and loses nothing.
    news: Mutex<News>,
    changed: Condvar,
    plan: Mutex<Plan>,
    clock: Clock,
}

#[derive(Default)]
struct News {
    ended: Vec<Option<PollEnd>>,
    origin_up: bool,
    stopping: bool,
    /// Those who moved the clock; dropped when what is due has been offered.
    movers: Vec<Sender<()>>,
    /// The clock was moved, or something above changed.
    look: bool,
}

impl Scheduler {
    /// A scheduler that keeps this plan.
    pub fn new(plan: Plan, clock: Clock) -> Scheduler {
        let news = News {
            ended: vec![None; plan.len()],
            ..News::default()
        };
        Scheduler {
            news: Mutex::new(news),
            changed: Condvar::new(),
            plan: Mutex::new(plan),
            clock,
        }
    }

    /// A poll is over.
    pub fn ended(&self, poll: usize, end: PollEnd) {
        self.tell(|news| {
            if let Some(place) = news.ended.get_mut(poll) {
                *place = Some(end);
            }
        });
    }

    /// The origin answers again: everything is due.
    pub fn origin_up(&self) {
        self.tell(|news| news.origin_up = true);
    }

    /// Looks at the clock again, after somebody moved it. When it returns, what has become due was offered.
    pub fn look_again(&self) {
        let (mover, offered) = bounded(0);
        self.tell(|news| news.movers.push(mover));
        // Nothing is ever sent: the wait ends with the other end, or is over.
        let _ = offered.recv_timeout(MOVED);
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.tell(|news| news.stopping = true);
    }

    /// How well the plan is kept, and how many polls are active.
    pub fn gauges(&self) -> (Gauges, usize) {
        let plan = self.plan.lock();
        (plan.gauges(), plan.active())
    }

    /// The thread's work.
    pub fn run(&self, proxy: &Proxy) {
        let mut movers = Vec::new();
        loop {
            let now = self.clock.now().mono;
            while let Some(due) = self.next_due(proxy, now) {
                if due.overlaps {
                    proxy.hurry(due.poll);
                } else {
                    proxy.poll(due.poll);
                }
            }
            movers.clear();
            let next = self.plan.lock().next();
            let wait = next.map_or(LOOK_EVERY, |next| {
                next.saturating_sub(self.clock.now().mono).min(LOOK_EVERY)
            });
            let Some(mut news) = self.listen(wait) else {
                return;
            };
            movers.append(&mut news.movers);
            self.learn(news);
        }
    }

    fn next_due(&self, proxy: &Proxy, now: Duration) -> Option<plan::Due> {
        self.plan.lock().due(now, |poll| proxy.last_wanted(poll))
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.news.lock();
        change(&mut news);
        news.look = true;
        drop(news);
        self.changed.notify_all();
    }

    /// Waits for news or the time; `None` when stopping.
    fn listen(&self, at_most: Duration) -> Option<News> {
        let mut news = self.news.lock();
        if !news.look {
            self.changed.wait_for(&mut news, at_most);
        }
        let places = news.ended.len();
        let heard = std::mem::replace(
            &mut *news,
            News {
                ended: vec![None; places],
                ..News::default()
            },
        );
        (!heard.stopping).then_some(heard)
    }

    fn learn(&self, news: News) {
        let now = self.clock.now().mono;
        let mut plan = self.plan.lock();
        for (poll, end) in news.ended.into_iter().enumerate() {
            let Some(end) = end else { continue };
            plan.ended(poll, end.refused);
            if let Some(again) = end.again {
                plan.probe(poll, again);
            }
        }
        if news.origin_up {
            plan.all_due(now);
        }
    }
}
