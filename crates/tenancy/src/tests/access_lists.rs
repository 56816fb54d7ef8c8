//! Versions of access lists: written one after the other, kept for a while, told to projects.

use super::{on_each, operator};
use crate::{LIST_VERSIONS_MAX, ListOwner, ListVersions, NewListVersion, NewProject, TenancyError};
use serde_json::json;
use types::AccessList;

fn list(topic: &str) -> AccessList {
    let entry = json!({"id": "a", "effect": "allow", "principals": ["*"], "operations": ["read"],
        "topic": {"literal": topic}});
    serde_json::from_value(json!({"entries": [entry]})).expect("a list")
}

fn new(list: Option<AccessList>, from: Option<u64>) -> NewListVersion {
    NewListVersion { list, from, note: "why".to_owned(), details: json!({"added": 1}) }
}

#[tokio::test]
async fn versions_follow_each_other_and_conflicts_are_told() {
    on_each(async |store| {
        let (tenant, project) = store.scope("acme").await;
        let (other, _) = store.scope("other").await;
        let owner = ListOwner::Project(tenant, project);
        assert_eq!(store.access_list(owner, None).await, Ok(None));
        let by = operator();
        let first = store.put_access_list(owner, new(Some(list("a")), Some(0)), &by).await.unwrap();
        assert_eq!((first.version, first.entries, first.is_removed), (1, 1, false));
        assert_eq!((first.actor.as_str(), first.note.as_str()), ("operator", "why"));
        let late = store.put_access_list(owner, new(Some(list("b")), Some(0)), &by).await;
        let Err(TenancyError::Conflict { field: Some("version"), message }) = late else {
            panic!("{late:?}");
        };
        assert!(message.contains("version 1"), "{message}");
        store.put_access_list(owner, new(Some(list("b")), None), &by).await.unwrap();
        let removed = store.put_access_list(owner, new(None, Some(2)), &by).await.unwrap();
        assert!(removed.is_removed && removed.entries == 0);
        let (_, found) = store.access_list(owner, Some(1)).await.unwrap().expect("the first");
        assert_eq!(found, Some(list("a")));
        assert_eq!(store.access_list(owner, None).await.unwrap().expect("the newest").1, None);
        assert_eq!(store.access_list(owner, Some(9)).await, Ok(None));
        let page = store.access_list_versions(owner, None, 2).await.unwrap();
        assert_eq!(page.items.iter().map(|it| it.version).collect::<Vec<_>>(), [3, 2]);
        assert!(page.has_more);
        let rest = store.access_list_versions(owner, Some(2), 2).await.unwrap();
        assert_eq!(rest.items.iter().map(|it| it.version).collect::<Vec<_>>(), [1]);
        // Another tenant's project of this name is none.
        let stranger = ListOwner::Project(other, project);
        let refused = store.put_access_list(stranger, new(None, None), &by).await;
        assert!(matches!(refused, Err(TenancyError::NotFound { .. })), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn heads_name_the_newest_of_each_tier_and_go_with_their_owners() {
    on_each(async |store| {
        let (tenant, project) = store.scope("acme").await;
        let none = ListVersions::default();
        assert_eq!(store.access_list_heads(tenant, project).await, Ok(none));
        let by = operator();
        for owner in [
            ListOwner::Installation,
            ListOwner::Tenant(tenant),
            ListOwner::Tenant(tenant),
            ListOwner::Project(tenant, project),
        ] {
            store.put_access_list(owner, new(Some(list("a")), None), &by).await.unwrap();
        }
        let heads = ListVersions { installation: 1, tenant: 2, project: 1 };
        assert_eq!(store.access_list_heads(tenant, project).await, Ok(heads));
        let found = store.find_verification(project).await.unwrap().expect("the project");
        assert_eq!(found.lists, heads);
        store.delete_project(tenant, project, &by).await.unwrap();
        let owner = ListOwner::Project(tenant, project);
        assert_eq!(store.access_list(owner, None).await, Ok(None));
        store.delete_tenant(tenant, &by).await.unwrap();
        assert_eq!(store.access_list(ListOwner::Tenant(tenant), None).await, Ok(None));
        assert!(store.access_list(ListOwner::Installation, None).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn old_versions_go_and_every_project_of_a_tenant_is_told() {
    on_each(async |store| {
        let (tenant, first) = store.scope("acme").await;
        let another = NewProject { name: "second".to_owned(), ..NewProject::default() };
        let second = store.create_project(tenant, another, &operator()).await.unwrap().id;
        let owner = ListOwner::Tenant(tenant);
        for _ in 0..LIST_VERSIONS_MAX + 2 {
            store.put_access_list(owner, new(Some(list("a")), None), &operator()).await.unwrap();
        }
        assert_eq!(store.access_list(owner, Some(2)).await, Ok(None));
        assert!(store.access_list(owner, Some(3)).await.unwrap().is_some());
        let told = store.pending_events(&[], 1_000).await.unwrap();
        let of = |project| {
            told.iter().filter(|it| it.kind == "acl.updated" && it.project == Some(project)).count()
        };
        let all = (LIST_VERSIONS_MAX + 2) as usize;
        assert_eq!((of(first), of(second)), (all, all));
        let last = told.iter().rfind(|it| it.kind == "acl.updated").expect("told");
        assert_eq!(last.payload["details"]["change"], json!({"added": 1}));
        assert_eq!(last.payload["details"]["version"], LIST_VERSIONS_MAX + 2);
    })
    .await;
}
