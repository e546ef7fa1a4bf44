// Opened from a link that the bot sent on a channel without a sign-in of its own: proves the account to that conversation.
const token = new URLSearchParams(location.search).get("token") ?? "";
const list = document.getElementById("customers");
const asked = document.getElementById("asked");
const result = document.getElementById("result");

const call = async (address, body) => {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(address, options);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error?.message ?? answer.statusText);
  return content;
};

const signIn = async (account) => {
  try {
    const { identity_jwt } = await call("/demo/sign-in", { account });
    await call("/v1/sign-in", { token, identity_jwt });
    list.replaceChildren();
    result.textContent = "已登录，请回到聊天窗口。 You are signed in; please go back to the chat.";
  } catch (error) {
    result.textContent = error.message;
  }
};

const CHANNELS = { wechat_oa: "微信公众号 · WeChat", web_chat: "网页聊天 · Web chat" };

try {
  const link = await call(`/v1/sign-in?token=${encodeURIComponent(token)}`);
  asked.textContent = `${CHANNELS[link.channel] ?? link.channel} · ${new Date(link.asked_at).toLocaleString()}`;
  const { customers } = await call("/demo/customers");
  for (const customer of customers) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${customer.name} (${customer.account})`;
    button.addEventListener("click", () => signIn(customer.account));
    list.append(button);
  }
} catch (error) {
  result.textContent = error.message;
}
