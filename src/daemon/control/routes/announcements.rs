//! What is kept announced: every infohash with its evidence, whichever source lists it. What is added here is watched, as by
//! `watch add`: there is one list of what people have named.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Body, Named, id};
use super::watched::{check_port, with_list};
use crate::announcer::listing_of;
use crate::announcer::store::Watched;
use crate::announcer::view::{Announcement, State as Standing};
use crate::daemon::control::Control;
use crate::daemon::control::announcements::{
    AddRequest, AnnouncementRecord, AnnouncementsRecord, PatchRequest, is_not_visible, state_named,
};
use crate::daemon::control::problem::Problem;
use crate::daemon::view::AnnouncerView;
use crate::engine::id::InfoHash;
use crate::torrent::Torrent;

/// Most infohashes in one answer.
const MOST: usize = 1000;

/// Infohashes in an answer where the request does not say how many.
const USUAL: usize = 100;

/// Which infohashes are told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnnouncementsQuery {
    /// Only those in this state.
    state: Option<String>,
    /// `true`: only those that should be visible and are not known to be.
    #[serde(default)]
    not_visible: bool,
    /// Only those whose infohash begins with this, or whose name contains it, in any case.
    search: Option<String>,
    /// `true`: with seeds and peers over the last day.
    #[serde(default)]
    history: bool,
    /// Only those after this infohash: `next` of the answer before.
    after: Option<String>,
    /// Most infohashes in the answer, 1 to 1000; 100 if it is not given.
    limit: Option<usize>,
}

/// The same, understood.
struct Wanted {
    state: Option<Standing>,
    not_visible: bool,
    search: String,
    after: Option<InfoHash>,
    limit: usize,
}

impl AnnouncementsQuery {
    fn wanted(self) -> Result<Wanted, Problem> {
        let state = self.state.as_deref().map(|name| {
            let names = Standing::ALL.map(Standing::name).join(", ");
            let cure = format!("name one of: {names}");
            state_named(name).ok_or_else(|| Problem::bad(format_args!("there is no state {name:?}"), cure))
        });
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::bad(format_args!("the limit is {limit}"), "give a limit of 1 to 1000"));
        }
        Ok(Wanted {
            state: state.transpose()?,
            not_visible: self.not_visible,
            search: self.search.unwrap_or_default().to_lowercase(),
            after: self.after.as_deref().map(id).transpose()?,
            limit,
        })
    }
}

impl Wanted {
    fn fits(&self, known: &Announcement) -> bool {
        let is_found = || {
            known.info_hash.to_string().starts_with(&self.search)
                || known.name.as_deref().is_some_and(|name| name.to_lowercase().contains(&self.search))
        };
        self.state.is_none_or(|state| known.state == state)
            && (!self.not_visible || is_not_visible(known.state))
            && (self.search.is_empty() || is_found())
    }
}

/// What is kept announced, page by page, and how all of it is together.
#[utoipa::path(get, path = "/api/v1/announcements", tag = "announcements", params(AnnouncementsQuery),
    responses((status = 200, body = AnnouncementsRecord), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<AnnouncementsQuery>,
) -> Result<Json<AnnouncementsRecord>, Problem> {
    let history = query.history;
    let (wanted, announcer) = (query.wanted()?, &control.announcer);
    let now = announcer.now();
    // One more tells whether others follow.
    let mut found = announcer.announcements(wanted.after, wanted.limit + 1, |known| wanted.fits(known));
    let is_more = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    Ok(Json(AnnouncementsRecord {
        now: now.as_secs(),
        totals: AnnouncerView::new(&announcer.totals()),
        next: found.last().filter(|_| is_more).map(|last| last.info_hash.to_string()),
        announcements: found
            .iter()
            .map(|known| AnnouncementRecord {
                history: if history { control.history.of(known) } else { Vec::new() },
                ..AnnouncementRecord::new(known, now)
            })
            .collect(),
    }))
}

/// Keeps a torrent announced until it is removed, also after a restart; two infohashes for a hybrid torrent. It is watched from
/// then on, as by `watch add`; what was said of the same torrent before is replaced.
#[utoipa::path(post, path = "/api/v1/announcements", tag = "announcements", request_body = AddRequest, responses(
    (status = 201, body = [AnnouncementRecord]), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 409, body = Problem), (status = 415, body = Problem), (status = 500, body = Problem)))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    Body(request): Body<AddRequest>,
) -> Result<(StatusCode, Json<Vec<AnnouncementRecord>>), Problem> {
    let cure = "give an infohash or a magnet URI; folders, lists and torrent files are for /api/v1/watched";
    let target = request.target.trim().to_owned();
    let torrent = Torrent::parse(&target).map_err(|error| Problem::bad(format_args!("the target: {error}"), cure))?;
    check_port(request.port)?;
    let watched = Watched { target, port: request.port, recursive: false, seed: request.seed, paused: request.paused };
    take(&control, &watched, &torrent.infohashes)?;
    let (infohashes, kept) = (torrent.infohashes.clone(), watched.clone());
    let others = with_list(&control, move |list| {
        let mut others = Vec::new();
        for infohash in infohashes {
            others.extend(list.naming(infohash)?.into_iter().filter(|other| other.target != kept.target));
        }
        list.add(&kept)?;
        others.iter().try_for_each(|other| list.remove(&other.target).map(drop))?;
        Ok(others)
    });
    match others.await {
        Ok(others) => others.iter().for_each(|other| control.announcer.forget_source(&other.target)),
        Err(problem) => {
            control.announcer.forget_source(&watched.target);
            return Err(problem);
        }
    }
    let records = torrent.infohashes.iter().map(|infohash| record(&control, *infohash)).collect::<Result<_, _>>()?;
    Ok((StatusCode::CREATED, Json(records)))
}

/// Lets the announcer have at once what will be in the table; an error if it has no room for all of it.
fn take(control: &Control, watched: &Watched, infohashes: &[InfoHash]) -> Result<(), Problem> {
    if let Some(listing) = listing_of(watched) {
        control.announcer.list(listing);
    }
    if infohashes.iter().all(|infohash| control.announcer.announcement(*infohash).is_some()) {
        return Ok(());
    }
    control.announcer.forget_source(&watched.target);
    Err(no_room(control))
}

/// The announcer takes no more infohashes.
pub(super) fn no_room(control: &Control) -> Problem {
    let max = control.config().watch_max.get();
    let detail = format!("{max} infohashes are announced already, which is the most that may be (watch_max)");
    Problem::new(StatusCode::CONFLICT, detail, "remove others, or raise watch_max")
}

/// How an infohash is.
#[utoipa::path(get, path = "/api/v1/announcements/{infohash}", tag = "announcements",
    params(("infohash" = String, Path, description = "40 hexadecimal digits.")), responses(
    (status = 200, body = AnnouncementRecord), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Named(infohash): Named<String>,
) -> Result<Json<AnnouncementRecord>, Problem> {
    record(&control, id(&infohash)?).map(Json)
}

/// Changes what was added here or by `watch add`: its port, whether it is a seed, whether it is paused.
#[utoipa::path(patch, path = "/api/v1/announcements/{infohash}", tag = "announcements", request_body = PatchRequest,
    params(("infohash" = String, Path, description = "40 hexadecimal digits.")), responses(
    (status = 200, body = AnnouncementRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 415, body = Problem), (status = 500, body = Problem)))]
pub(super) async fn patch(
    State(control): State<Arc<Control>>,
    Named(infohash): Named<String>,
    Body(request): Body<PatchRequest>,
) -> Result<Json<AnnouncementRecord>, Problem> {
    let infohash = id(&infohash)?;
    check_port(request.port.flatten())?;
    let changed = with_list(&control, move |list| {
        let mut named = list.naming(infohash)?;
        for watched in &mut named {
            watched.port = request.port.unwrap_or(watched.port);
            watched.seed = request.seed.unwrap_or(watched.seed);
            watched.paused = request.paused.unwrap_or(watched.paused);
            list.add(watched)?;
        }
        Ok(named)
    });
    let changed = changed.await?;
    if changed.is_empty() {
        return Err(not_by_hand(infohash));
    }
    changed.iter().filter_map(listing_of).for_each(|listing| control.announcer.list(listing));
    record(&control, infohash).map(Json)
}

/// Ends what was begun here or by `watch add`; a hybrid torrent with both of its infohashes. It stays announced where another
/// source lists it.
#[utoipa::path(delete, path = "/api/v1/announcements/{infohash}", tag = "announcements",
    params(("infohash" = String, Path, description = "40 hexadecimal digits.")), responses((status = 204),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 500, body = Problem)))]
pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    Named(infohash): Named<String>,
) -> Result<StatusCode, Problem> {
    let infohash = id(&infohash)?;
    let removed = with_list(&control, move |list| {
        let named = list.naming(infohash)?;
        named.iter().try_for_each(|watched| list.remove(&watched.target).map(drop))?;
        Ok(named)
    });
    let removed = removed.await?;
    removed.iter().for_each(|watched| control.announcer.forget_source(&watched.target));
    if removed.is_empty() { Err(not_by_hand(infohash)) } else { Ok(StatusCode::NO_CONTENT) }
}

fn record(control: &Control, infohash: InfoHash) -> Result<AnnouncementRecord, Problem> {
    let known = control.announcer.announcement(infohash).ok_or_else(|| {
        Problem::not_found(format_args!("{infohash} is not announced"), "see /api/v1/announcements for what is")
    })?;
    Ok(AnnouncementRecord::new(&known, control.announcer.now()))
}

fn not_by_hand(infohash: InfoHash) -> Problem {
    let cure = "see in /api/v1/announcements which of its sources lists it, and change that one";
    Problem::not_found(format_args!("{infohash} was not added here"), cure)
}
