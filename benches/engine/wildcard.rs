//! What it costs a socket on the wildcard to answer from the address that was asked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trackerless::net::socket::{BATCH, Socket};

const ROUNDS: usize = 4_000;

/// Prints what a datagram costs that is received and answered, bound to an address and to the wildcard, in turns.
pub fn measure() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bind = |addr: &str| Socket::bind(addr.parse().expect("an address"));
        let mut servers = [bind("127.0.0.1:0")?, bind("0.0.0.0:0")?];
        let mut client = bind("127.0.0.1:0")?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (server, times) in servers.iter_mut().zip(&mut times) {
                times.push(round(&mut client, server).await?);
            }
        }
        for (name, times) in ["bound to an address", "on the wildcard"].iter().zip(&mut times) {
            times.sort_unstable();
            let each = times[times.len() / 2] / BATCH as u32;
            println!("{name:20} {:6} ns a datagram", each.as_nanos());
        }
        Ok(())
    })
}

/// One batch there and back; the time that the server took for it.
async fn round(client: &mut Socket, server: &mut Socket) -> anyhow::Result<Duration> {
    let to = SocketAddr::from(([127, 0, 0, 1], server.local_addr().port()));
    while client.push(to, &[b'x'; 100]) {}
    flush(client).await?;
    server.readable().await?;
    let (mut heard, mut taken) = (Vec::with_capacity(BATCH), Duration::ZERO);
    while heard.len() < BATCH {
        let start = Instant::now();
        let before = heard.len();
        let count = server.receive(|from, _| heard.push(from))?;
        for from in &heard[before..] {
            assert!(server.push(*from, &[b'y'; 300]), "there is room for a batch");
        }
        server.flush();
        taken += start.elapsed();
        if count == 0 {
            server.readable().await?;
        }
    }
    flush(server).await?;
    let mut answers = 0;
    while answers < BATCH {
        client.readable().await?;
        answers += client.receive(|_, _| ())?;
    }
    Ok(taken)
}

async fn flush(socket: &mut Socket) -> anyhow::Result<()> {
    while socket.flush().left > 0 {
        socket.writable().await?;
    }
    Ok(())
}
