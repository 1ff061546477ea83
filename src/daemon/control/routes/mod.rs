//! The routes: one file for each kind of thing. Each route is described where it is written, so that the document at
//! `/api/v1/openapi.json` cannot name another.

mod announcements;
mod ask;
mod checks;
mod events;
mod extract;
mod gateway;
mod held;
mod info;
mod items;
mod lookups;
mod page;
mod search;
mod settings;
mod state;
mod watched;

use std::sync::Arc;

use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::problem::{PROBLEM, no_such_method, no_such_path};

/// The type that a body has unless something else is said.
const JSON: &str = "application/json";

/// Head of the document.
#[derive(OpenApi)]
#[openapi(
    info(title = "trackerless", description = "The control interface of a running node."),
    tags((name = "state"), (name = "lookups"), (name = "network"), (name = "items"), (name = "announcements"), (name = "index"), (name = "settings"), (name = "events"), (name = "page"))
)]
struct Head;

/// All routes.
pub(super) fn router(control: Arc<Control>) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = Json(finished(document));
    let router = router.route("/api/v1/openapi.json", axum::routing::get(async move || document.clone()));
    router.merge(page::files()).fallback(no_such_path).method_not_allowed_fallback(no_such_method).with_state(control)
}

fn documented() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(state::live))
        .routes(routes!(state::health))
        .routes(routes!(state::findings))
        .routes(routes!(state::metrics))
        .routes(routes!(state::status))
        .routes(routes!(state::nodes))
        .routes(routes!(state::swarms))
        .routes(routes!(state::announces))
        .routes(routes!(state::clients))
        .routes(routes!(gateway::clients))
        .routes(routes!(announcements::list, announcements::add))
        .routes(routes!(announcements::show, announcements::patch, announcements::remove))
        .routes(routes!(held::hold))
        .routes(routes!(watched::list, watched::add, watched::remove))
        .routes(routes!(lookups::list, lookups::start))
        .routes(routes!(lookups::show, lookups::cancel))
        .routes(routes!(lookups::events))
        .routes(routes!(ask::scrape))
        .routes(routes!(ask::ping))
        .routes(routes!(ask::sample))
        .routes(routes!(checks::check))
        .routes(routes!(info::info))
        .routes(routes!(search::search))
        .routes(routes!(search::held))
        .routes(routes!(search::scrapes))
        .routes(routes!(search::torznab))
        .routes(routes!(search::opensearch))
        .routes(routes!(search::plugin))
        .routes(routes!(items::get, items::renew))
        .routes(routes!(items::put))
        .routes(routes!(settings::list, settings::patch))
        .routes(routes!(events::events))
        .routes(routes!(page::session))
        .routes(routes!(page::login))
        .routes(routes!(page::logout))
}

/// The document with the version of the program, and with what every refusal is: `application/problem+json` (RFC 9457).
fn finished(mut document: Document) -> Document {
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let operations = document.paths.paths.values_mut().flat_map(|path| {
        [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten()
    });
    for response in operations.flat_map(|operation| operation.responses.responses.values_mut()) {
        let RefOr::T(response) = response else { continue };
        let Some(RefOr::T(content)) = response.content.get(JSON) else { continue };
        if matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/Problem"))
            && let Some(content) = response.content.shift_remove(JSON)
        {
            response.content.insert(PROBLEM.to_owned(), content);
        }
    }
    document
}

#[cfg(test)]
mod tests;
