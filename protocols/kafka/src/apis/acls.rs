//! The project's access list by Kafka's requests (DescribeAcls, CreateAcls, DeleteAcls). What its
//! entries are in Kafka's words is in `access`; who may look and change is asked of the platform.

use crate::access::{self, Binding, Draft, Filter, TooMany};
use crate::call::Call;
use crate::config::SecurityAccess;
use crate::errors;
use crate::messages::create_acls::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};
use crate::messages::delete_acls::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest, DeleteAclsResponse,
};
use crate::messages::describe_acls::{
    AclDescription, DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};
use port::{Code, ListState, Refusal, Security};
use std::collections::BTreeSet;
use types::AccessList;

/// Entries that one request adds, or filters that one request deletes by, at most.
const CHANGES_MAX: usize = 1_000;
/// How often a change is made anew when somebody else was faster.
const TRIES_MAX: usize = 4;

/// An error's number, and what is told of it.
type Told = (i16, String);

pub async fn describe(call: &Call, request: DescribeAclsRequest) -> DescribeAclsResponse {
    match described(call, request.into()).await {
        Ok(resources) => DescribeAclsResponse { resources, ..DescribeAclsResponse::default() },
        Err((error_code, why)) => DescribeAclsResponse {
            error_code,
            error_message: Some(why),
            ..DescribeAclsResponse::default()
        },
    }
}

async fn described(call: &Call, filter: Filter) -> Result<Vec<DescribeAclsResource>, Told> {
    let security = call.security(SecurityAccess::Read)?;
    filter.check().map_err(|why| (errors::INVALID_REQUEST, why.to_owned()))?;
    let state = list(call, security).await?;
    let said = apart(move || access::bindings(&state.list)).await?;
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // They come in the order of their resources.
    for binding in said.into_iter().filter(|binding| filter.matches(binding)) {
        let Binding { pattern, principal, host, operation, permission } = binding;
        let acl = AclDescription { principal, host, operation, permission_type: permission };
        match resources.last_mut() {
            Some(last)
                if (last.resource_type, &last.resource_name, last.pattern_type)
                    == (pattern.resource, &pattern.name, pattern.kind) =>
            {
                last.acls.push(acl);
            }
            _ => resources.push(DescribeAclsResource {
                resource_type: pattern.resource,
                resource_name: pattern.name,
                pattern_type: pattern.kind,
                acls: vec![acl],
            }),
        }
    }
    Ok(resources)
}

pub async fn create(call: &Call, request: CreateAclsRequest) -> CreateAclsResponse {
    let count = request.creations.len();
    let read: Vec<Result<Draft, String>> =
        request.creations.into_iter().take(CHANGES_MAX).map(Draft::try_from).collect();
    let drafts: Vec<Draft> = read.iter().filter_map(|draft| draft.clone().ok()).collect();
    let made = change(call, "CreateAcls of Kafka", move |list| access::add(list, &drafts)).await;
    let bad = |(error_code, why): Told| AclCreationResult { error_code, error_message: Some(why) };
    let mut results: Vec<AclCreationResult> = read
        .into_iter()
        .map(|draft| match (&made, draft) {
            // Who may not is told that, whatever he wrote.
            (Err(told), _) => bad(told.clone()),
            (Ok(_), Err(why)) => bad((errors::INVALID_REQUEST, why)),
            (Ok(_), Ok(_)) => AclCreationResult::default(),
        })
        .collect();
    results.resize_with(count, || bad(too_many()));
    CreateAclsResponse { results, ..CreateAclsResponse::default() }
}

pub async fn delete(call: &Call, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let count = request.filters.len();
    let filters: Vec<Filter> =
        request.filters.into_iter().take(CHANGES_MAX).map(Filter::from).collect();
    let checked: Vec<Result<(), &str>> = filters.iter().map(Filter::check).collect();
    let good =
        |(filter, checked): (&Filter, &Result<(), &str>)| checked.is_ok().then(|| filter.clone());
    let good: Vec<Filter> = filters.iter().zip(&checked).filter_map(good).collect();
    let gone = change(call, "DeleteAcls of Kafka", move |list| access::remove(list, &good)).await;
    let bad = |(error_code, why): Told| DeleteAclsFilterResult {
        error_code,
        error_message: Some(why),
        matching_acls: Vec::new(),
    };
    let mut filter_results: Vec<DeleteAclsFilterResult> = match gone {
        Err(told) => checked.iter().map(|_| bad(told.clone())).collect(),
        Ok(gone) => {
            let mut gone = gone.into_iter();
            let result = |checked: Result<(), &str>| match checked {
                Ok(()) => matched(gone.next().unwrap_or_default()),
                Err(why) => bad((errors::INVALID_REQUEST, why.to_owned())),
            };
            checked.into_iter().map(result).collect()
        }
    };
    filter_results.resize_with(count, || bad(too_many()));
    DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() }
}

fn matched(gone: BTreeSet<Binding>) -> DeleteAclsFilterResult {
    let acl = |binding: Binding| DeleteAclsMatchingAcl {
        resource_type: binding.pattern.resource,
        resource_name: binding.pattern.name,
        pattern_type: binding.pattern.kind,
        principal: binding.principal,
        host: binding.host,
        operation: binding.operation,
        permission_type: binding.permission,
        ..DeleteAclsMatchingAcl::default()
    };
    let matching_acls = gone.into_iter().map(acl).collect();
    DeleteAclsFilterResult { matching_acls, ..DeleteAclsFilterResult::default() }
}

fn too_many() -> Told {
    let why = format!("one request changes at most {CHANGES_MAX}: ask in several");
    (errors::POLICY_VIOLATION, why)
}

/// The project's list. Where no list counts, entries would say nothing: as with Kafka without an
/// authorizer.
async fn list(call: &Call, security: &dyn Security) -> Result<ListState, Told> {
    let state = security.access_list(&call.who).await;
    let state = state.map_err(|refusal| errors::of_security(&refusal))?;
    if !state.is_bounding {
        let why = "no access list counts in this project: keys may do what their scopes say; begin \
                   one that says its default with `mainstem acl apply`";
        return Err((errors::SECURITY_DISABLED, why.to_owned()));
    }
    Ok(state)
}

/// Changes the list as it is then, and stores it where it is another.
async fn change<T: Send + 'static>(
    call: &Call,
    note: &str,
    make: impl Fn(&mut AccessList) -> Result<T, TooMany> + Clone + Send + 'static,
) -> Result<T, Told> {
    let security = call.security(SecurityAccess::Write)?;
    for _ in 0..TRIES_MAX {
        let ListState { version, list: before, .. } = list(call, security).await?;
        let make = make.clone();
        let (made, after) = apart(move || {
            let mut list = before.clone();
            let made = make(&mut list)?;
            Ok((made, (list != before).then_some(list)))
        })
        .await?;
        let Some(after) = after else { return Ok(made) };
        match security.put_access_list(&call.who, version, after, note).await {
            Ok(_) => return Ok(made),
            Err(refusal) if refusal.code() == Code::Conflict => {}
            Err(refusal) => return Err(errors::of_security(&refusal)),
        }
    }
    let why = "others change the list all the time: try again";
    Err((errors::REQUEST_TIMED_OUT, why.to_owned()))
}

/// Work on large lists, off the threads of connections.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TooMany> + Send + 'static,
) -> Result<T, Told> {
    match tokio::task::spawn_blocking(work).await {
        Ok(made) => made.map_err(|why| (errors::POLICY_VIOLATION, why.to_string())),
        Err(error) => Err(errors::of_security(&Refusal::internal(&error))),
    }
}
