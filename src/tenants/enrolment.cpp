#include "tenants/enrolment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"
#include "tenants/code.hpp"
#include "tenants/wire.hpp"

namespace bavn::tenants {

struct EnrolmentFile {
  std::string hub, root, statement;
  std::uint64_t node;
  std::string name, operator_;
  std::vector<MunicipalityId> municipalities;
  std::string certificate_pem, key_pem;
};
BOOST_DESCRIBE_STRUCT(EnrolmentFile, (),
                      (hub, root, statement, node, name, operator_, municipalities, certificate_pem, key_pem))

struct ProblemView {
  std::optional<std::string> title, detail;
};
BOOST_DESCRIBE_STRUCT(ProblemView, (), (title, detail))

namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::hours;

constexpr std::size_t kMaxFile = 256 * 1024;
constexpr Duration kClockTolerance = 5min;
constexpr Duration kLookAgain = 1h;  // at what is due; the wall clock may jump
constexpr Duration kFirstPause = 1min, kLongestPause = 1h;
constexpr hours kBackdated{1};  // certificates begin this much before they were made (directory.cpp)

std::string readable(Duration d) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(d < 0s ? -d : d).count();
  if (seconds >= 2 * 86400) return fmt::format("{} days", seconds / 86400);
  if (seconds >= 2 * 3600) return fmt::format("{} hours", seconds / 3600);
  return fmt::format("{} minutes", std::max<std::int64_t>(1, seconds / 60));
}

Result<void> check_clock(Instant here, Instant hub) {
  const Duration off = here - hub;
  if (off <= kClockTolerance && off >= -kClockTolerance) return {};
  return fail(
      Code::unavailable,
      fmt::format("this machine's clock is {} {} the hub's ({} here, {} there): set it (timedatectl set-ntp true) "
                  "and try again",
                  readable(off), off > 0s ? "ahead of" : "behind", format_time(here), format_time(hub)));
}

/// What a refusal says, in the hub's own words.
Error refusal(const net::ClientReply& reply) {
  std::string text = fmt::format("the hub answered with status {}", reply.status);
  if (const auto problem = net::from_json<ProblemView>(reply.body, net::Unknown::ignore)) {
    if (problem->detail && !problem->detail->empty()) text = *problem->detail;
    else if (problem->title) text = *problem->title;
  } else if (reply.status >= 200 && reply.status < 300) {
    text = "the hub's answer is not understood: is this the hub's address and port?";
  }
  const Code code = reply.status == 409                          ? Code::conflict
                    : reply.status == 401 || reply.status == 403 ? Code::forbidden
                    : reply.status == 404                        ? Code::not_found
                    : reply.status == 400 || reply.status == 413 ? Code::bad_input
                                                                 : Code::unavailable;
  return {code, text.substr(0, 500), {}};
}

template <class View>
Result<View> view_of(const Result<net::ClientReply>& reply) {
  if (!reply) return std::unexpected(reply.error());
  if (reply->status != 200) return std::unexpected(refusal(*reply));
  auto view = net::from_json<View>(reply->body, net::Unknown::ignore);
  if (!view) return std::unexpected(refusal(*reply));
  return view;
}

Result<std::shared_ptr<const NodeIdentity>> identity_of(const EnrolmentFile& file) {
  auto identity = std::make_shared<NodeIdentity>();
  identity->hub = file.hub;
  BAVN_TRY(identity->root, PublicKey::parse(file.root));
  BAVN_TRY(identity->statement, read_statement(file.statement, identity->root));
  identity->statement_text = file.statement;
  identity->node = file.node;
  identity->name = file.name;
  identity->by = file.operator_;
  identity->municipalities = file.municipalities;
  BAVN_TRY(const auto facts, x509::read_certificate(file.certificate_pem));
  if (!x509::fits(file.key_pem, file.certificate_pem))
    return fail(Code::corrupt, "the node's key is not the one of its certificate");
  identity->serial = facts.serial;
  identity->issued = facts.not_before + kBackdated;
  identity->until = facts.not_after;
  identity->tls = std::make_shared<net::TlsIdentity>(net::TlsIdentity{
      .certificate_pem = file.certificate_pem, .key_pem = file.key_pem, .ca_pem = identity->statement.authority_pem});
  return identity;
}

using Then = std::move_only_function<void(Result<void>)>;

/// Everything lives here, held by whoever waits for an answer; `over` tells them that nobody wants it any more.
class Inner final : public std::enable_shared_from_this<Inner> {
 public:
  Inner(Runtime& runtime, net::Client& client, QueueId queue, std::string folder, SigningKey sign_key)
      : runtime_(runtime), client_(client), queue_(queue), folder_(std::move(folder)), sign_key_(std::move(sign_key)) {}

  Result<void> load() {
    Files& files = runtime_.files();
    if (!files.exists(path())) return {};
    BAVN_TRY(const auto text, read_file(files, path(), kMaxFile));
    auto file = net::from_json<EnrolmentFile>(text, net::Unknown::ignore);
    if (!file)
      return fail(
          Code::corrupt,
          "the node's enrolment is damaged (" + file.error().what + "): restore it from a backup or enrol again",
          path());
    BAVN_TRY(auto identity, identity_of(*file));
    shared_.with([&](Shared& s) {
      s.file = std::move(*file);
      s.identity = std::move(identity);
      s.status = {.state = EnrolmentState::enrolled};
    });
    return {};
  }

  void enrol(std::string_view typed, std::string machine, Then then) {
    const auto code = EnrolmentCode::parse(typed);
    if (!code) return answer(std::move(then), std::unexpected(code.error()));
    if (const auto here = identity()) {
      const bool done_with = here->until <= runtime_.now() || status().state == EnrolmentState::refused;
      if (!done_with || here->root.fingerprint() != code->root)
        return answer(std::move(then),
                      fail(Code::conflict, fmt::format("this machine is the node \"{}\" already; with a new code: bavn "
                                                       "node enrol CODE --again; to leave: bavn node leave",
                                                       here->name)));
    }
    ask_identity(code->hub, {},
                 [this, self = shared_from_this(), code = *code, machine,
                  then = std::move(then)](Result<IdentityView> view) mutable {
                   if (over_) return answer(std::move(then), gone());
                   if (!view) {
                     if (view.error().code == Code::unavailable)
                       view.error().what = fmt::format(
                           "no answer from the hub at {} ({}): is the address reachable from here (firewall, proxy)?",
                           code.hub, view.error().what);
                     return answer(std::move(then), std::unexpected(view.error()));
                   }
                   const auto root = PublicKey::parse(view->root);
                   if (!root || root->fingerprint() != code.root)
                     return answer(
                         std::move(then),
                         fail(Code::forbidden,
                              fmt::format("who answers at {} is not the hub of this code: its root key has another "
                                          "fingerprint. Nothing was sent to it; call the CERT before trying again",
                                          code.hub)));
                   if (const auto clock = check_clock(runtime_.now(), view->time); !clock)
                     return answer(std::move(then), clock);
                   const auto statement = check_statement(view->statement, *root, runtime_.now());
                   if (!statement) return answer(std::move(then), std::unexpected(statement.error()));
                   EnrolmentFile file{.hub = code.hub,
                                      .root = root->text(),
                                      .statement = view->statement,
                                      .node = 0,
                                      .name = {},
                                      .operator_ = {},
                                      .municipalities = {},
                                      .certificate_pem = {},
                                      .key_pem = {}};
                   send_enrol(std::move(file), *statement, code, machine, std::move(then));
                 });
  }

  void renew(Then then) {
    const auto here = identity();
    if (!here)
      return answer(std::move(then), fail(Code::not_found, "this machine is no node yet: bavn node enrol CODE"));
    auto key = pending_key();
    if (!key) return answer(std::move(then), std::unexpected(key.error()));
    const auto csr = x509::make_request(*key, here->name);
    if (!csr) return answer(std::move(then), std::unexpected(csr.error()));
    net::ClientRequest request{
        .method = net::Method::post, .url = url(here->hub, "/beacon/v1/renew"), .tls = here->tls};
    request.headers.set("Content-Type", "application/json");
    request.body = net::to_json(RenewView{*csr});
    client_.send(
        std::move(request), queue_,
        [this, self = shared_from_this(), key = *key, then = std::move(then)](Result<net::ClientReply> reply) mutable {
          if (over_) return answer(std::move(then), gone());
          const auto view = view_of<EnrolledView>(reply);
          if (view) {
            EnrolmentFile file = shared_.with([](const Shared& s) { return s.file; });
            return answer(std::move(then), keep(std::move(file), *view, key));
          }
          explain(view.error(), std::move(then));
        });
  }

  void start() {
    if (started_.with([](bool& s) { return std::exchange(s, true); })) return;
    look();
  }

  Result<void> accept_statement(std::string_view text) {
    const auto here = identity();
    if (!here) return fail(Code::not_found, "this machine is no node yet");
    BAVN_TRY(const auto statement, read_statement(text, here->root));
    if (statement.epoch < here->statement.epoch)
      return fail(
          Code::forbidden,
          fmt::format("the hub shows an old statement (epoch {}; this node has seen {}): it was set back, or somebody "
                      "uses a key that was replaced",
                      statement.epoch, here->statement.epoch));
    if (text == here->statement_text) return {};
    EnrolmentFile file = shared_.with([](const Shared& s) { return s.file; });
    file.statement = text;
    return store(std::move(file));
  }

  std::shared_ptr<const NodeIdentity> identity() const {
    return shared_.with([](const Shared& s) { return s.identity; });
  }
  const SigningKey& sign_key() const { return sign_key_; }

  EnrolmentStatus status() const {
    EnrolmentStatus status = shared_.with([](const Shared& s) { return s.status; });
    const auto here = identity();
    if (!here) return status;
    status.until = here->until;
    status.renewal_due = due(*here);
    if (status.state != EnrolmentState::refused && here->until <= runtime_.now()) {
      status.state = EnrolmentState::expired;
      status.text = fmt::format(
          "the node's certificate expired {}: if this machine's clock is right, ask the CERT for a new code and run: "
          "bavn "
          "node enrol CODE{}",
          format_time(here->until), status.text.empty() ? "" : " (" + status.text + ")");
    }
    return status;
  }

  void on_change(std::function<void(std::shared_ptr<const NodeIdentity>)> f) {
    shared_.with([&](Shared& s) { s.on_change = std::move(f); });
  }

  Result<void> forget() {
    Files& files = runtime_.files();
    for (const auto& file : {path(), pending_path(), folder_ + "/node.sign"})
      if (files.exists(file)) BAVN_CHECK(files.unlink(file));
    BAVN_CHECK(files.sync_dir(folder_));
    shared_.with([](Shared& s) {
      s.file = {};
      s.identity = nullptr;
      s.status = {};
    });
    return {};
  }

  void end() { over_ = true; }

 private:
  struct Shared {
    EnrolmentFile file{};
    std::shared_ptr<const NodeIdentity> identity;
    EnrolmentStatus status;
    std::function<void(std::shared_ptr<const NodeIdentity>)> on_change;
  };

  std::string path() const { return folder_ + "/enrolment.json"; }
  std::string pending_path() const { return folder_ + "/pending.key"; }
  static std::string url(const std::string& hub, std::string_view path) {
    return fmt::format("https://{}{}", hub, path);
  }
  static std::unexpected<Error> gone() { return fail(Code::unavailable, "the node is stopping"); }

  /// Always on the queue, never inside the call that asked.
  void answer(Then then, Result<void> result) {
    if (!then) return;
    (void)runtime_.after(Duration{0}, queue_,
                         [then = std::move(then), result = std::move(result)]() mutable { then(std::move(result)); });
  }

  /// Who answers there, believed by nobody: what comes back is checked by fingerprint and signature.
  void ask_identity(const std::string& hub, const std::string& serial,
                    std::move_only_function<void(Result<IdentityView>)> then) {
    net::ClientRequest request{.url = url(hub, "/beacon/v1/identity"),
                               .tls = std::make_shared<net::TlsIdentity>(net::TlsIdentity{.unverified = true}),
                               .max_reply = kMaxFile};
    if (!serial.empty()) request.url += "?certificate=" + serial;
    client_.send(std::move(request), queue_, [then = std::move(then)](Result<net::ClientReply> reply) mutable {
      then(view_of<IdentityView>(reply));
    });
  }

  /// The key of a certificate that was asked for and did not arrive yet.
  Result<std::string> pending_key() {
    Files& files = runtime_.files();
    if (files.exists(pending_path())) return read_file(files, pending_path(), kMaxFile);
    std::string key = x509::make_key();
    BAVN_CHECK(replace_file(files, pending_path(), key));
    return key;
  }

  void send_enrol(EnrolmentFile file, const HubStatement& statement, const EnrolmentCode& code,
                  const std::string& machine, Then then) {
    auto key = pending_key();
    if (!key) return answer(std::move(then), std::unexpected(key.error()));
    const auto csr = x509::make_request(*key, "bavn node");
    if (!csr) return answer(std::move(then), std::unexpected(csr.error()));
    net::ClientRequest request{
        .method = net::Method::post,
        .url = url(code.hub, "/beacon/v1/enrol"),
        .tls = std::make_shared<net::TlsIdentity>(net::TlsIdentity{.ca_pem = statement.authority_pem})};
    request.headers.set("Content-Type", "application/json");
    request.body = net::to_json(EnrolView{to_base32(code.secret), *csr, machine, sign_key_.public_key().text()});
    client_.send(std::move(request), queue_,
                 [this, self = shared_from_this(), file = std::move(file), key = *key,
                  then = std::move(then)](Result<net::ClientReply> reply) mutable {
                   if (over_) return answer(std::move(then), gone());
                   const auto view = view_of<EnrolledView>(reply);
                   if (!view) return answer(std::move(then), std::unexpected(view.error()));
                   answer(std::move(then), keep(std::move(file), *view, key));
                 });
  }

  /// Checks what the hub gave before it is kept: the certificate must be for our key, by the authority of the statement, and hold now.
  Result<void> keep(EnrolmentFile file, const EnrolledView& view, const std::string& key) {
    BAVN_TRY(const auto root, PublicKey::parse(file.root));
    BAVN_TRY(const auto statement, read_statement(file.statement, root));
    if (!x509::fits(key, view.certificate_pem))
      return fail(Code::corrupt, "the hub sent a certificate for another key");
    BAVN_CHECK(x509::verify(view.certificate_pem, statement.authority_pem, runtime_.now(), x509::Use::client));
    if (view.municipalities.empty()) return fail(Code::corrupt, "the hub sent a certificate for no municipality");
    file.node = view.node;
    file.name = view.name;
    file.operator_ = view.operator_;
    file.municipalities = view.municipalities;
    file.certificate_pem = view.certificate_pem;
    file.key_pem = key;
    BAVN_CHECK(store(std::move(file)));
    // Only now: until the certificate is kept, the same key must be asked for again.
    return runtime_.files().unlink(pending_path());
  }

  Result<void> store(EnrolmentFile file) {
    BAVN_TRY(auto identity, identity_of(file));
    BAVN_CHECK(replace_file(runtime_.files(), path(), net::to_json(file)));
    const auto tell = shared_.with([&](Shared& s) {
      s.file = std::move(file);
      s.identity = identity;
      s.status = {.state = EnrolmentState::enrolled};
      return s.on_change;
    });
    if (tell) (void)runtime_.after(Duration{0}, queue_, [tell, identity] { tell(identity); });
    return {};
  }

  static Instant due(const NodeIdentity& identity) {
    return identity.issued + (identity.until - identity.issued) * 2 / 3;
  }

  /// Renewal failed: says why in words a person can act on. The hub is asked once more without a certificate, because a certificate that
  /// no longer holds, or a wrong clock, ends the connection before anybody can say so.
  void explain(Error error, Then then) {
    const auto here = identity();
    ask_identity(here->hub, here->serial,
                 [this, self = shared_from_this(), here, error = std::move(error),
                  then = std::move(then)](Result<IdentityView> view) mutable {
                   if (over_) return answer(std::move(then), gone());
                   if (view) {
                     const auto root = PublicKey::parse(view->root);
                     if (!root || *root != here->root)
                       error = {
                           Code::forbidden,
                           fmt::format("who answers at {} is another hub than the one this node belongs to", here->hub),
                           {}};
                     else if (const auto clock = check_clock(runtime_.now(), view->time); !clock) error = clock.error();
                     else if (view->certificate && *view->certificate != "holds")
                       error = {Code::forbidden, "the hub says: " + *view->certificate, {}};
                   }
                   shared_.with([&](Shared& s) {
                     s.status.state = error.code == Code::forbidden ? EnrolmentState::refused : EnrolmentState::late;
                     s.status.text = error.what;
                     ++s.status.failures;
                   });
                   answer(std::move(then), std::unexpected(error));
                 });
  }

  void look() {
    if (over_) return;
    const auto here = identity();
    if (!here) return again(kLookAgain);
    if (runtime_.now() >= due(*here)) {
      return renew([this, self = shared_from_this()](Result<void> done) {
        if (over_) return;
        if (done) return again(kLookAgain);
        const auto failures = std::max<std::uint64_t>(1, status().failures);
        log::warn("certificate_not_renewed", {{"reason", done.error().what}, {"failures", failures}});
        again(std::min<Duration>(kLongestPause, kFirstPause * (1LL << std::min<std::uint64_t>(failures - 1, 10))));
      });
    }
    if (runtime_.now() < statement_asked_ || runtime_.now() - statement_asked_ >= days{1}) {
      statement_asked_ = runtime_.now();
      ask_statement(*here);
    }
    again(kLookAgain);
  }

  void ask_statement(const NodeIdentity& here) {
    client_.send({.url = url(here.hub, "/beacon/v1/identity"), .tls = here.tls, .max_reply = kMaxFile}, queue_,
                 [this, self = shared_from_this()](Result<net::ClientReply> reply) {
                   if (over_) return;
                   const auto view = view_of<IdentityView>(reply);
                   if (!view) return;  // the beacon says when the hub is away
                   if (const auto kept = accept_statement(view->statement); !kept)
                     log::error("hub_statement_refused", {{"reason", kept.error().what}});
                 });
  }

  /// A little earlier or later, so that nodes enrolled on one day do not renew in one minute.
  void again(Duration pause) {
    const Duration spread{
        static_cast<std::int64_t>(runtime_.random_below(static_cast<std::uint64_t>(pause.count() / 4) + 1))};
    (void)runtime_.after(pause - spread, queue_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->look();
    });
  }

  Runtime& runtime_;
  net::Client& client_;
  QueueId queue_;
  std::string folder_;
  SigningKey sign_key_;
  Guarded<Shared> shared_;
  Guarded<bool> started_;
  Instant statement_asked_{};
  std::atomic<bool> over_ = false;
};

class EnrolmentHandle final : public Enrolment {
 public:
  explicit EnrolmentHandle(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
  ~EnrolmentHandle() override { inner_->end(); }
  void enrol(std::string_view code, std::string machine, Then then) override {
    inner_->enrol(code, std::move(machine), std::move(then));
  }
  void start() override { inner_->start(); }
  void renew_now(Then then) override { inner_->renew(std::move(then)); }
  Result<void> accept_statement(std::string_view text) override { return inner_->accept_statement(text); }
  std::shared_ptr<const NodeIdentity> identity() const override { return inner_->identity(); }
  const SigningKey& sign_key() const override { return inner_->sign_key(); }
  EnrolmentStatus status() const override { return inner_->status(); }
  void on_change(std::function<void(std::shared_ptr<const NodeIdentity>)> f) override {
    inner_->on_change(std::move(f));
  }
  Result<void> forget() override { return inner_->forget(); }

 private:
  std::shared_ptr<Inner> inner_;
};

}  // namespace

std::string_view to_string(EnrolmentState state) {
  switch (state) {
    case EnrolmentState::none: return "none";
    case EnrolmentState::enrolled: return "enrolled";
    case EnrolmentState::late: return "late";
    case EnrolmentState::expired: return "expired";
    case EnrolmentState::refused: return "refused";
  }
  return "none";
}

Result<std::unique_ptr<Enrolment>> Enrolment::open(Runtime& runtime, net::Client& client, QueueId queue,
                                                   std::string folder) {
  Files& files = runtime.files();
  BAVN_CHECK(files.make_dirs(folder));
  const std::string path = folder + "/node.sign";
  if (!files.exists(path))
    BAVN_CHECK(SigningKey::random().save(files, path, "Bavn node: signs proofs of what was done here"));
  BAVN_TRY(SigningKey sign_key, SigningKey::load(files, path));
  auto inner = std::make_shared<Inner>(runtime, client, queue, std::move(folder), std::move(sign_key));
  BAVN_CHECK(inner->load());
  return std::make_unique<EnrolmentHandle>(std::move(inner));
}

}  // namespace bavn::tenants
