# The steps of deploy/demo/run, each a function that says what it does. Sourced, not run.
pids=()
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

stop_everything() {
  trap - EXIT INT TERM
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$home"
}

# found DOMAIN SMTP LMTP IMAP OVERLAY CONTROL: keys, configuration and ports of one organisation.
found() {
  local domain=$1 smtp=$2 lmtp=$3 imap=$4 overlay=$5 control=$6
  "$gateway" init --domain "$domain" --dir "$home/$domain" \
    --smtp-listen "127.0.0.1:$smtp" --deliver "lmtp:127.0.0.1:$lmtp" --control-listen "127.0.0.1:$control" \
    --overlay-listen "/ip4/127.0.0.1/udp/$overlay/quic-v1" --overlay-listen "/ip4/127.0.0.1/tcp/$overlay" \
    >"$home/$domain.init.log" || fail "$(cat "$home/$domain.init.log")"
  printf '%s %s %s %s\n' "$smtp" "$lmtp" "$imap" "$control" >"$home/$domain.ports"
  printf '  %s\n' "$domain"
  grep -E '^ +(DID|Fingerprint) ' "$home/$domain.init.log" || true
}

# introduce A B: B's administrator exports a partner file, A's imports it.
introduce() {
  "$gateway" partner export --config "$home/$2/dccp-config.yaml" >"$home/$2.partner"
  "$gateway" partner import --config "$home/$1/dccp-config.yaml" "$home/$2.partner" >"$home/$1.import.log" 2>&1 ||
    fail "$(cat "$home/$1.import.log")"
  echo "  $1 knows $2 by its partner file"
}

# start_mailboxes DOMAIN: a private Dovecot with LMTP and IMAP on loopback; any user, password pw-USER.
start_mailboxes() {
  local domain=$1 lmtp imap dir="$home/$1/mailboxes" me
  read -r _ lmtp imap _ <"$home/$domain.ports"
  me=$(id -un)
  mkdir -p "$dir"/{run,state,mail}
  local uid=5000 gid=5000 internal=dovecot login=dovenull
  if [ "$(id -u)" -ne 0 ]; then uid=$(id -u) gid=$(id -g) internal=$me login=$me; else chown $uid:$gid "$dir/mail"; fi
  chmod 755 "$home/$domain"
  cat >"$dir/dovecot.conf" <<CONF
base_dir = $dir/run
state_dir = $dir/state
log_path = $dir/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = $internal
default_internal_group = $(id -gn $internal)
default_login_user = $login
mail_location = maildir:$dir/mail/%n
mail_uid = $uid
mail_gid = $gid
first_valid_uid = 1
auth_mechanisms = plain login
passdb {
  driver = static
  args = password=pw-%n
}
userdb {
  driver = static
  args = uid=$uid gid=$gid home=$dir/mail/%n
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = $lmtp
  }
}
service anvil {
  chroot =
}
CONF
  dovecot -F -c "$dir/dovecot.conf" >/dev/null 2>"$dir/stderr.log" &
  pids+=($!)
  await_port "$lmtp" "$dir/stderr.log"
}

start_gateway() {
  "$gateway" run --config "$home/$1/dccp-config.yaml" >"$home/$1.log" 2>&1 &
  pids+=($!)
}

# await_port PORT LOG: until something listens there, at most 10 s.
await_port() {
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done
  cat "$2" >&2
  fail "Nothing listens on port $1."
}

# await_ready DOMAIN: until /readyz says so, at most 30 s.
await_ready() {
  local control
  read -r _ _ _ control <"$home/$1.ports"
  for _ in $(seq 300); do
    curl -fs "http://127.0.0.1:$control/readyz" >/dev/null 2>&1 && { echo "  $1 is ready"; return; }
    sleep 0.1
  done
  tail -n 20 "$home/$1.log" >&2
  fail "$1 did not become ready: $(curl -s "http://127.0.0.1:$control/readyz")"
}

send_first_mail() {
  local smtp
  read -r smtp _ <"$home/acme.test.ports"
  curl -sS --crlf "smtp://127.0.0.1:$smtp/laptop.acme.test" --mail-from alice@acme.test --mail-rcpt bob@globex.test -T - <<MAIL
From: Alice <alice@acme.test>
To: Bob <bob@globex.test>
Subject: Our first sealed mail
Date: $(date -R)
Message-ID: <first-mail@acme.test>

Hello Bob,

between your gateway and mine this mail travelled only as a post-quantum sealed message.

Alice
MAIL
}

# await_mail USER IMAP_PORT: until the INBOX holds a mail, at most 20 s.
await_mail() {
  for _ in $(seq 200); do
    curl -s "imap://127.0.0.1:$2/INBOX?ALL" -u "$1:pw-$1" 2>/dev/null | grep -q 'SEARCH [0-9]' && return
    sleep 0.1
  done
  tail -n 20 "$home"/*.log >&2
  fail "The mail did not arrive within 20 s."
}

# await_receipt DOMAIN MESSAGE-ID: until the partner's signed receipt has settled the mail, at most 20 s.
await_receipt() {
  for _ in $(seq 200); do
    "$gateway" trace --config "$home/$1/dccp-config.yaml" "$2" 2>/dev/null | grep -q ': delivered' && return
    sleep 0.1
  done
  fail "$1 got no receipt within 20 s."
}

show_mail() {
  printf '\nIn %s'"'"'s mailbox, read by IMAP:\n' "$1"
  curl -s "imap://127.0.0.1:$2/INBOX;MAILINDEX=1" -u "$1:pw-$1" | sed 's/^/  │ /'
}

how_to_use() {
  say "Both organisations are up. Try it with your own mail client:"
  local domain smtp imap control
  for domain in acme.test globex.test; do
    read -r smtp _ imap control <"$home/$domain.ports"
    local user=alice
    [ $domain = globex.test ] && user=bob
    cat <<TEXT

  $user@$domain
    outgoing  SMTP  127.0.0.1:$smtp   no password (STARTTLS offered, self-signed)
    incoming  IMAP  127.0.0.1:$imap   user $user, password pw-$user (any name works: carol, pw-carol)
    console   http://127.0.0.1:$control/   user admin, password $(cat "$home/$domain/keys/control.token")
    trace     $gateway trace --config $home/$domain/dccp-config.yaml MESSAGE-ID
    log       $home/$domain.log
TEXT
  done
  printf '\nCtrl-C stops everything and removes %s\n' "$home"
}
