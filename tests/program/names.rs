//! A host whose name server never answers: names hold up neither results nor the end.
#![cfg(target_os = "linux")]

use std::process::{Command, Output, Stdio};

use super::harness::Home;

/// Runs a script of the shell on a host of its own, whose only name server is silent: what is sent to it vanishes on an interface
/// that leads nowhere. The system would wait for it for minutes. `$1` is the program. `None` where there are no namespaces.
fn on_a_host_without_names(home: &Home, script: &str) -> Option<Output> {
    home.write("resolv.conf", "nameserver 198.18.9.2\noptions timeout:30 attempts:5\n");
    home.write("nsswitch.conf", "hosts: files dns\n");
    let script = format!(
        "ip link set lo up && ip link add away type veth peer name nowhere && ip link set nowhere up &&
         ip address add 198.18.9.1/24 dev away && ip link set away up &&
         ip neighbour add 198.18.9.2 lladdr 02:00:00:00:00:02 dev away &&
         mount --bind resolv.conf /etc/resolv.conf && mount --bind nsswitch.conf /etc/nsswitch.conf || exit 77
         {script}"
    );
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", &script, "sh"]);
    let program = home.command(&[]);
    inside.arg(program.get_program()).current_dir(home.path()).env("HOME", home.path());
    let ended = inside.stdin(Stdio::null()).output().expect("unshare starts");
    if ended.status.code() == Some(77) {
        assert!(std::env::var_os("CI").is_none(), "CI needs namespaces: {}", String::from_utf8_lossy(&ended.stderr));
        println!("skipped: no namespaces here");
        return None;
    }
    Some(ended)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bound of a minute turns a wait for the name server into a failure: it alone would take several.
#[test]
fn results_and_the_end_do_not_wait_for_names() {
    let home = Home::new();
    let script = "\"$1\" run --lan --gateway off --bind 127.0.0.1:7001 --data-dir a >node.log 2>&1 & node=$!
         until \"$1\" ping 127.0.0.1:7001 --lan >/dev/null 2>&1; do :; done
         named='--lan --bootstrap 127.0.0.1:7001 --bootstrap no-name.example:6881'
         timeout 60 \"$1\" announce aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --port 7777 $named >/dev/null || exit 2
         timeout 60 \"$1\" find aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa $named || exit 3
         timeout 60 \"$1\" run --gateway off --bind 127.0.0.1:7002 --data-dir b $named >second.log 2>&1 & second=$!
         until grep -q ready second.log; do kill -0 $second || exit 4; done
         kill -TERM $second; wait $second || exit 5
         kill -TERM $node; wait $node";
    let Some(ended) = on_a_host_without_names(&home, script) else { return };
    assert!(ended.status.success(), "{:?}: {}", ended.status, text(&ended.stderr));
    assert_eq!(text(&ended.stdout), "127.0.0.1:7777\n");
}

#[test]
fn a_search_says_that_it_waits_for_a_name_server_and_for_which_names() {
    let home = Home::new();
    let script =
        "timeout 60 \"$1\" find aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --timeout 5 --bootstrap no-name.example:6881";
    let Some(ended) = on_a_host_without_names(&home, script) else { return };
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("waiting for a name server") && said.contains("no-name.example:6881"), "{said}");
    assert!(
        said.contains("no name server told the addresses of no-name.example:6881\ncure: check that DNS works"),
        "{said}"
    );
}

/// The bound of a minute turns a wait for the name server into a failure.
#[test]
fn who_asks_one_node_by_its_name_is_told_that_no_name_server_answers() {
    let home = Home::new();
    for command in ["ping", "sample", "conform"] {
        let script = format!("timeout 60 \"$1\" {command} no-name.example:6881");
        let Some(ended) = on_a_host_without_names(&home, &script) else { return };
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{command}: {said}");
        assert!(said.contains("waiting for a name server") && said.contains("no-name.example:6881"), "{said}");
        assert!(said.contains("no-name.example:6881 has no address: no name server answers\ncure: "), "{said}");
    }
}

/// A node that joins through names alone is stopped while it waits for them.
#[test]
fn a_node_that_waits_for_names_stops_at_once() {
    let home = Home::new();
    let script = "timeout 60 \"$1\" run --gateway off --bind 198.18.9.1:7002 --data-dir b --bootstrap no-name.example:6881 >log 2>&1 & node=$!
         until grep -q listening log; do kill -0 $node || exit 4; done
         kill -TERM $node; wait $node";
    let Some(ended) = on_a_host_without_names(&home, script) else { return };
    assert!(ended.status.success(), "{:?}: {}", ended.status, text(&ended.stderr));
    assert!(std::fs::read_to_string(home.path().join("log")).unwrap().contains("stopped, the state is saved"));
}
