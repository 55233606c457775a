use super::*;

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).unwrap()
}

fn users() -> BTreeMap<String, PasswordHash> {
    // "right", at the least cost.
    let hash = bcrypt::hash_with_salt("right", 4, *b"a salt of 16 byt").unwrap().to_string();
    BTreeMap::from([("alice".to_owned(), PasswordHash::try_from(hash).unwrap())])
}

async fn ask(users: &Arc<Users>, text: &str) -> Admission {
    users.admit(&self::users(), Some(&header(text)), Source::Local, 0).await
}

#[tokio::test]
async fn only_the_right_password_of_a_user_who_exists_is_admitted() {
    let checked = Arc::new(Users::new().unwrap());
    // Twice: checked, then remembered.
    for _ in 0..2 {
        assert_eq!(ask(&checked, "alice:right").await, Admission::Granted);
        for wrong in ["alice:wrong", "alice:", "alice:right ", "bob:right", ":right", "alice", "", "alice:right\0x"] {
            assert_eq!(ask(&checked, wrong).await, Admission::Denied, "{wrong}");
        }
    }
    let nobody = PasswordHash::of_nobody(4);
    assert!(bcrypt::verify("right", nobody.as_str()).is_ok(), "the stand-in is a hash that takes its time");
    assert_eq!(checked.admit(&users(), None, Source::Local, 0).await, Admission::Denied);
}

#[tokio::test]
async fn a_user_who_is_taken_out_is_denied_although_remembered() {
    let checked = Arc::new(Users::new().unwrap());
    assert_eq!(ask(&checked, "alice:right").await, Admission::Granted);
    let none = BTreeMap::from([("carol".to_owned(), PasswordHash::of_nobody(4))]);
    let admission = checked.admit(&none, Some(&header("alice:right")), Source::Local, 0).await;
    assert_eq!(admission, Admission::Denied);
}

#[test]
fn headers_that_are_no_basic_authentication_have_no_credentials() {
    assert_eq!(credentials(&header("a:b:c")).unwrap(), (b"a".to_vec(), b"b:c".to_vec()));
    assert!(credentials(&HeaderValue::from_static("bAsIc  YTpi")).is_some());
    for text in ["Basic", "Basic !", "Bearer YTpi", "Basic YTpi, Basic YTpi", "", "Basic YQ=="] {
        assert!(credentials(&HeaderValue::from_str(text).unwrap()).is_none(), "{text}");
    }
}

#[test]
fn an_address_is_its_host() {
    let source = |text: &str| Source::of(text.parse().unwrap());
    assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    assert_eq!(source("2001:db8::1"), source("2001:db8::2"));
    assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
}

#[test]
fn keys_depend_on_every_part() {
    let users = Users::new().unwrap();
    let (one, other) = (PasswordHash::of_nobody(4), PasswordHash::of_nobody(5));
    let key = users.key(b"a", b"bc", &one);
    assert_eq!(key, users.key(b"a", b"bc", &one));
    assert_ne!(key, users.key(b"ab", b"c", &one));
    assert_ne!(key, users.key(b"a", b"bc", &other));
    assert_ne!(key, Users::new().unwrap().key(b"a", b"bc", &one), "another process");
}

#[test]
fn wrong_ones_push_out_wrong_ones_only() {
    let mut remembered = Remembered::default();
    let key = |number: u32| {
        let mut key = Key::default();
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    };
    remembered.keep(key(0), true);
    for number in 1..=5_000 {
        remembered.keep(key(number), false);
    }
    assert_eq!(remembered.answer(&key(0)), Some(true));
    assert_eq!(remembered.answer(&key(1)), None);
    assert_eq!(remembered.answer(&key(5_000)), Some(false));
    assert_eq!((remembered.answer(&key(3_976)), remembered.answer(&key(3_977))), (None, Some(false)));
}
