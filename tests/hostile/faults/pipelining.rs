//! Clients that pipeline without end, and read all of it: each takes as much of the program as it is given.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{Others, Target};
use crate::support::{PATIENCE, crowd_turn};

const FLOODERS: usize = 4;
const SECONDS: u64 = 5;
/// Nobody well-behaved waits longer, however busy the machine is.
const BOUND: Duration = Duration::from_secs(5);

/// Sends the same request again and again until then, and reads all replies; the bytes of them.
fn flood(addr: SocketAddr, until: Instant) -> usize {
    let mut stream = TcpStream::connect(addr).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reading = stream.try_clone().expect("a second handle");
    let reader = thread::spawn(move || {
        let mut block = vec![0; 256 * 1024];
        let mut taken = 0;
        while let Ok(count @ 1..) = reading.read(&mut block) {
            taken += count;
        }
        taken
    });
    let block = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n".repeat(512);
    while Instant::now() < until && stream.write_all(block.as_bytes()).is_ok() {}
    // The replies to all that was sent come first, then the end.
    let _ = stream.shutdown(Shutdown::Write);
    reader.join().expect("it reads")
}

#[test]
fn must_show_4_a_flood_of_pipelined_hits_keeps_nobody_waiting() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    let mut quiet = Others::default();
    quiet.ask(&target, "quiet", 200);
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let mut loaded = Others::default();
    let taken: Vec<usize> = thread::scope(|scope| {
        let addr = target.proc.addr();
        let floods: Vec<_> = (0..FLOODERS)
            .map(|_| scope.spawn(move || flood(addr, until)))
            .collect();
        while Instant::now() < until {
            loaded.ask(&target, "loaded", 10);
        }
        floods
            .into_iter()
            .map(|flood| flood.join().expect("it floods"))
            .collect()
    });
    println!("{taken:?} bytes of replies to the flood");
    quiet.beside(&mut loaded);
    assert!(taken.iter().all(|taken| *taken > 0), "{taken:?}");
    assert!(loaded.longest() < BOUND, "somebody waited for the flood");
    target.unharmed();
}
