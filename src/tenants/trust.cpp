#include "tenants/trust.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "net/json_views.hpp"

namespace bavn::tenants {

using std::chrono::days;
using std::chrono::hours;

struct StatementView {
  std::string kind, hub_key;
  std::uint64_t epoch;
  std::string authority_pem;
  Instant not_before, not_after;
};
BOOST_DESCRIBE_STRUCT(StatementView, (), (kind, hub_key, epoch, authority_pem, not_before, not_after))
struct SignedView {
  std::string payload, signature;
};
BOOST_DESCRIBE_STRUCT(SignedView, (), (payload, signature))

namespace {

constexpr std::string_view kPurpose = "bavn hub statement v1";
constexpr std::string_view kKind = "bavn.hub_statement";
constexpr std::size_t kMaxFile = 256 * 1024;

// A node's clock may be behind the hub's: certificates begin an hour before they were made.
constexpr hours kBackdated{1};
constexpr days kStatementLife{10 * 365}, kServerLife{90}, kServerDue{60};

std::string sign_statement(const SigningKey& root, const HubStatement& s) {
  SignedView out;
  out.payload = net::to_json(
      StatementView{std::string(kKind), s.hub_key.text(), s.epoch, s.authority_pem, s.not_before, s.not_after});
  out.signature = to_base64url(root.sign(kPurpose, out.payload));
  return net::to_json(out);
}

std::string statement_path(const std::string& folder, std::uint64_t epoch) {
  return fmt::format("{}/statement.{}.json", folder, epoch);
}

Result<std::string> server_certificate(Runtime& runtime, const x509::Authority& authority, const std::string& key,
                                       std::vector<x509::Name> names) {
  if (names.empty())
    return fail(Code::bad_input, "the hub needs at least one host name or address under which nodes reach it");
  BAVN_TRY(const auto request, x509::make_request(key, "Bavn hub"));
  return x509::issue(authority, request,
                     {.use = x509::Use::server,
                      .common_name = names.front().value,
                      .names = names,
                      .not_before = runtime.now() - kBackdated,
                      .not_after = runtime.now() + kServerLife,
                      .serial = random_serial(runtime)});
}

}  // namespace

std::array<std::byte, 16> random_serial(Runtime& runtime) {
  std::array<std::byte, 16> serial;
  runtime.random(serial);
  return serial;
}

Result<HubStatement> read_statement(std::string_view text, const PublicKey& root) {
  if (text.size() > kMaxFile) return fail(Code::bad_input, "too large for a hub's statement");
  BAVN_TRY(const auto signed_view, net::from_json<SignedView>(text, net::Unknown::ignore));
  const auto signature = from_base64url(signed_view.signature);
  if (!signature || !root.verify(kPurpose, signed_view.payload, *signature))
    return fail(Code::forbidden,
                "the hub's statement is not signed by the root key that this node trusts: another hub answers, or "
                "somebody stands "
                "between. Nothing was sent to it; call the CERT before trying again");
  BAVN_TRY(const auto view, net::from_json<StatementView>(signed_view.payload, net::Unknown::ignore));
  if (view.kind != kKind) return fail(Code::corrupt, "the root signed something else than a hub statement");
  HubStatement s;
  BAVN_TRY(s.hub_key, PublicKey::parse(view.hub_key));
  s.epoch = view.epoch;
  s.authority_pem = view.authority_pem;
  s.not_before = view.not_before;
  s.not_after = view.not_after;
  BAVN_CHECK(x509::read_certificate(s.authority_pem));
  return s;
}

Result<HubStatement> check_statement(std::string_view text, const PublicKey& root, Instant now) {
  BAVN_TRY(const auto s, read_statement(text, root));
  if (now < s.not_before)
    return fail(Code::unavailable,
                fmt::format("the hub's statement begins {}, this machine's clock says {}: set the clock "
                            "(timedatectl set-ntp true) and try again",
                            format_time(s.not_before), format_time(now)));
  if (now >= s.not_after)
    return fail(
        Code::unavailable,
        fmt::format(
            "the hub's statement ended {}, this machine's clock says {}: if the clock is right, the CERT must renew it "
            "with the root key",
            format_time(s.not_after), format_time(now)));
  return s;
}

Result<TrustBirth> Trust::init(Runtime& runtime, const std::string& folder, const std::vector<std::string>& names) {
  Files& files = runtime.files();
  BAVN_CHECK(files.make_dirs(folder));
  if (files.exists(statement_path(folder, 1)) || files.exists(folder + "/hub.key"))
    return fail(Code::conflict,
                "a hub was made here before; its keys are not overwritten. A new hub key: bavn hub rotate", folder);
  const Instant now = runtime.now();
  const SigningKey root = SigningKey::random(), hub = SigningKey::random();
  HubStatement statement;
  statement.hub_key = hub.public_key();
  statement.not_before = now - kBackdated;
  statement.not_after = now + kStatementLife;
  BAVN_TRY(const auto authority,
           x509::make_authority("Bavn " + root.public_key().fingerprint().substr(0, 8), statement.not_before,
                                statement.not_after, random_serial(runtime)));
  statement.authority_pem = authority.certificate_pem;
  std::vector<x509::Name> hosts;
  for (const auto& name : names) hosts.push_back(x509::host(name));
  const std::string server_key = x509::make_key();
  BAVN_TRY(const auto server, server_certificate(runtime, authority, server_key, hosts));

  BAVN_CHECK(root.save(files, folder + "/root.key",
                       "Bavn root key. Take this file to two USB sticks in two safes, then delete it here: it is "
                       "needed only to replace the hub's key"));
  BAVN_CHECK(replace_file(files, folder + "/root.pub", PublicKeyFile{root.public_key(), "Bavn root"}.text()));
  BAVN_CHECK(hub.save(files, folder + "/hub.key", "Bavn hub: signs what goes to the nodes"));
  BAVN_CHECK(replace_file(files, folder + "/authority.key", authority.key_pem));
  BAVN_CHECK(replace_file(files, folder + "/authority.pem", authority.certificate_pem));
  BAVN_CHECK(replace_file(files, folder + "/server.key", server_key));
  BAVN_CHECK(replace_file(files, folder + "/server.pem", server));
  // Last: with the statement the hub is there.
  BAVN_CHECK(replace_file(files, statement_path(folder, 1), sign_statement(root, statement)));
  return TrustBirth{folder + "/root.key", root.public_key().fingerprint()};
}

Result<Trust> Trust::open(Runtime& runtime, const std::string& folder) {
  Files& files = runtime.files();
  if (!files.exists(statement_path(folder, 1)))
    return fail(Code::not_found, "there is no hub here; make one: bavn hub init", folder);
  const auto text = [&](const char* name) { return read_file(files, folder + name, kMaxFile); };
  BAVN_TRY(const auto root_text, text("/root.pub"));
  BAVN_TRY(const auto root, PublicKeyFile::parse(root_text));
  BAVN_TRY(SigningKey hub_key, SigningKey::load(files, folder + "/hub.key"));
  Trust trust(runtime, folder, root.key, std::move(hub_key));
  for (std::uint64_t epoch = 1; files.exists(statement_path(folder, epoch)); ++epoch) {
    BAVN_TRY(auto statement, read_file(files, statement_path(folder, epoch), kMaxFile));
    trust.statements_.push_back(std::move(statement));
  }
  BAVN_TRY(trust.statement_, check_statement(trust.statements_.back(), trust.root_, runtime.now()));
  if (trust.statement_.hub_key != trust.hub_key_.public_key()) {
    // A rotation that stopped between its last two steps.
    if (files.exists(folder + "/hub.key.next")) {
      BAVN_TRY(trust.hub_key_, SigningKey::load(files, folder + "/hub.key.next"));
    }
    if (trust.statement_.hub_key != trust.hub_key_.public_key())
      return fail(
          Code::corrupt,
          "hub.key is not the key in the newest statement: restore both from the same backup, or: bavn hub rotate",
          folder);
    BAVN_CHECK(files.rename(folder + "/hub.key.next", folder + "/hub.key"));
    BAVN_CHECK(files.sync_dir(folder));
  }
  BAVN_TRY(trust.authority_.key_pem, text("/authority.key"));
  BAVN_TRY(trust.authority_.certificate_pem, text("/authority.pem"));
  if (trust.authority_.certificate_pem != trust.statement_.authority_pem ||
      !x509::fits(trust.authority_.key_pem, trust.authority_.certificate_pem))
    return fail(Code::corrupt,
                "authority.pem, authority.key and the newest statement do not belong together: restore all from the "
                "same backup",
                folder);
  BAVN_TRY(trust.server_key_pem_, text("/server.key"));
  BAVN_TRY(trust.server_pem_, text("/server.pem"));
  return trust;
}

Result<void> Trust::rotate_hub_key(Runtime& runtime, const std::string& folder, const std::string& root_key_path) {
  Files& files = runtime.files();
  BAVN_TRY(const auto root_text, read_file(files, folder + "/root.pub", kMaxFile));
  BAVN_TRY(const auto pinned, PublicKeyFile::parse(root_text));
  BAVN_TRY(const SigningKey root, SigningKey::load(files, root_key_path));
  if (root.public_key() != pinned.key)
    return fail(Code::forbidden,
                fmt::format("this is not the root key of this hub (its fingerprint is {}, needed is {})",
                            root.public_key().fingerprint(), pinned.key.fingerprint()),
                root_key_path);
  std::uint64_t newest = 0;
  while (files.exists(statement_path(folder, newest + 1))) ++newest;
  BAVN_TRY(const auto old_text, read_file(files, statement_path(folder, newest), kMaxFile));
  BAVN_TRY(const auto old, read_statement(old_text, pinned.key));
  const SigningKey hub = SigningKey::random();
  HubStatement next;
  next.hub_key = hub.public_key();
  next.epoch = old.epoch + 1;
  next.authority_pem = old.authority_pem;
  next.not_before = runtime.now() - kBackdated;
  next.not_after = runtime.now() + kStatementLife;
  // The new key is kept beside the old one until the statement speaks of it: whenever this stops, one of the two pairs is whole.
  const std::string fresh = folder + "/hub.key.next";
  if (files.exists(fresh)) BAVN_CHECK(files.unlink(fresh));
  BAVN_CHECK(hub.save(files, fresh, "Bavn hub: signs what goes to the nodes"));
  BAVN_CHECK(replace_file(files, statement_path(folder, next.epoch), sign_statement(root, next)));
  BAVN_CHECK(files.rename(fresh, folder + "/hub.key"));
  return files.sync_dir(folder);
}

bool Trust::root_key_is_here() const {
  return runtime_->files().exists(folder_ + "/root.key");
}

Result<bool> Trust::renew_server_certificate_if_due() {
  BAVN_TRY(const auto current, x509::read_certificate(server_pem_));
  if (runtime_->now() < current.not_after - (kServerLife - kServerDue)) return false;
  BAVN_TRY(server_pem_, server_certificate(*runtime_, authority_, server_key_pem_, current.names));
  BAVN_CHECK(replace_file(runtime_->files(), folder_ + "/server.pem", server_pem_));
  return true;
}

Result<void> Trust::remake_server_certificate(const std::vector<std::string>& names) {
  std::vector<x509::Name> hosts;
  for (const auto& name : names) hosts.push_back(x509::host(name));
  BAVN_TRY(server_pem_, server_certificate(*runtime_, authority_, server_key_pem_, hosts));
  return replace_file(runtime_->files(), folder_ + "/server.pem", server_pem_);
}

}  // namespace bavn::tenants
