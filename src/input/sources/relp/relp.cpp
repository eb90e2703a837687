#include "input/sources/relp/relp.hpp"

#include "input/sources/relp/session.hpp"

namespace bavn::input::sources::relp {

namespace {

class RelpConversation final : public Conversation {
 public:
  explicit RelpConversation(std::size_t max_message) : session_(max_message) {}

  void on_bytes(std::string_view bytes, Intake& to) override {
    const SessionStats before = session_.stats();
    session_.on_bytes(bytes, [&](Ticket ticket, std::string_view text) {
      if (!to.message(ticket, text)) session_.stored(ticket);
    });
    to.too_long(session_.stats().too_long - before.too_long);
    to.refused("relp_command_unknown", session_.stats().unknown - before.unknown);
    if (!session_.fault().empty() && !std::exchange(told_, true)) to.refused("relp_broken", 1, session_.fault());
  }
  void stored(Ticket ticket) override { session_.stored(ticket); }
  void passed_over(Ticket ticket, std::string_view why) override { session_.passed_over(ticket, why); }
  void refused(Ticket ticket, std::string_view why) override { session_.refused(ticket, why); }
  bool close() override {
    session_.close();
    return true;
  }
  std::string take_output() override { return session_.take_output(); }
  std::size_t output_waiting() const override { return session_.output_waiting(); }
  bool open() const override { return session_.open(); }
  bool reading() const override { return session_.reading(); }
  bool over() const override { return session_.over(); }

 private:
  Session session_;
  bool told_ = false;  // of its fault
};

}  // namespace

Result<std::unique_ptr<Listener>> start_listener(Runtime& runtime, Sink& sink, SourceBook& book, RelpOptions options) {
  const auto begin = [max = options.max_message] { return std::make_unique<RelpConversation>(max); };
  const char* way = options.transport == Transport::tls ? "relp tls" : "relp";
  return Listener::start(runtime, sink, book, std::move(options), {"relp", way, "relp_open_too_slow", true, begin});
}

}  // namespace bavn::input::sources::relp
