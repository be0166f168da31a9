// A refusal in words: the app's own text, or the gate's sentence, which comes as JSON.
async function refusal(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error || text;
  } catch {
    return text;
  }
}
