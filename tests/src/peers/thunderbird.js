// What thunderbird.rs asks of a real Thunderbird, over Marionette and inside of it: the things that a person does with the mouse.
// Nothing waits for a time to pass; whatever needs an answer of a person ends the task with the question.

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

/** Resolves when `topic` is observed of a window for which `look` gives something, with that. */
function windowDid(topic, look) {
  return new Promise(resolve => {
    Services.ww.registerNotification(function observer(window, observed) {
      const seen = observed == topic && look(window);
      if (seen) {
        Services.ww.unregisterNotification(observer);
        resolve(seen);
      }
    });
  });
}

/** Rejects with the words of the next dialog that wants something of a person. */
async function question() {
  const dialog = await windowDid("domwindowopened", window => window);
  await new Promise(resolve => dialog.addEventListener("load", resolve, { once: true }));
  const words = dialog.document.documentElement.textContent.trim().replace(/\s+/g, " ");
  throw new Error(`${dialog.document.documentURI} asks: ${dialog.document.title} ${words} ${dialog.args?.text ?? ""}`);
}

/** The compose window that is opened next, with these fields filled in, once a person could type. */
async function composeWindow(fields) {
  const opening = windowDid("domwindowopened", window => window);
  const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  params.composeFields = fields;
  params.type = Ci.nsIMsgCompType.New;
  params.format = Ci.nsIMsgCompFormat.HTML;
  params.identity = MailServices.accounts.defaultAccount.defaultIdentity;
  MailServices.compose.OpenComposeWindowWithParams(null, params);
  const window = await opening;
  await new Promise(resolve => window.addEventListener("compose-window-init", resolve, { capture: true, once: true }));
  await new Promise(resolve => listen(window, { NotifyComposeBodyReady: resolve }));
  return window;
}

function listen(window, heard) {
  const deaf = { NotifyComposeFieldsReady() {}, NotifyComposeBodyReady() {}, ComposeProcessDone() {}, SaveInFolderDone() {} };
  window.gMsgCompose.RegisterStateListener({ ...deaf, ...heard });
}

const tasks = {
  /** Believes this certificate at this port, and keeps this password. */
  async settle({ port, certificate, user, password }) {
    const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
    const exceptions = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
    const believed = certificates.constructX509FromBase64(certificate);
    exceptions.rememberValidityOverride("127.0.0.1", port, {}, believed, false);
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init("smtp://127.0.0.1", null, "smtp://127.0.0.1", user, password, "", "");
    await Services.logins.addLoginAsync(login);
    return Services.appinfo.version;
  },

  /** Writes a letter in the compose window, sends it, and waits until it and the copy of it are where they belong. */
  async send({ to, subject, body, attachment }) {
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    Object.assign(fields, { to, subject, body });
    if (attachment) {
      const file = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
      Object.assign(file, attachment);
      fields.addAttachment(file);
    }
    const window = await composeWindow(fields);
    const done = new Promise((resolve, reject) => {
      listen(window, { ComposeProcessDone: result => Components.isSuccessCode(result) ? resolve() : reject(result) });
    });
    const closed = windowDid("domwindowclosed", closed => closed == window);
    const asked = question();
    window.goDoCommand("cmd_sendNow");
    await Promise.race([Promise.all([done, closed]), asked]);
    return "sent";
  },
};

const [task, input, answer] = arguments;
tasks[task](input).then(value => answer({ value }), error => answer({ error: String(error) }));
